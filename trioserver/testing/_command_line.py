"""The command line: replay a run, explore seeds, check determinism.

Exit codes: 0 if nothing failed, 1 if the program failed or was not deterministic, 2 with one line that says
why when the arguments can not be used, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from trioserver import ConfigError

from ._attempts import attempt
from ._determinism import NotDeterministic, check_determinism
from ._explore import SeedFailed, explore
from ._run import copy_of_log
from ._seeding import seeds_task_order
from ._targets import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._log import EventLog

INTERRUPTED = 130
"""128 and the number of SIGINT, as shells have it."""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = _make_parser()
    options = parser.parse_args(arguments)
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    commands = {"replay": _replay, "explore": _explore, "check": _check}
    try:
        return commands[options.command](options)
    except ConfigError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED


def _make_parser() -> _Parser:
    parser = _Parser(
        prog="python -m trioserver.testing",
        description="Run an async function, called with a Network, on that network in virtual time.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    replay = commands.add_parser("replay", help="run it with one seed, and print the event log")
    many = commands.add_parser("explore", help="run it with many seeds, until one fails")
    check = commands.add_parser("check", help="run it twice with one seed, and compare the event logs")
    for command in (replay, many, check):
        command.add_argument(
            "function",
            metavar="MODULE:FUNCTION",
            help="the async function; or FILE.py:FUNCTION for one in no package",
        )
    replay.add_argument("--seed", type=seed, required=True, metavar="N", help="a whole number, 0 or more")
    replay.add_argument("--svg", type=Path, metavar="FILE", help="draw the run as a sequence diagram")
    replay.add_argument("--mermaid", type=Path, metavar="FILE", help="the same as Mermaid text")
    many.add_argument(
        "--seeds",
        type=seeds,
        default=range(1000),
        metavar="FIRST:END",
        help="which seeds, the last not included (0:1000)",
    )
    many.add_argument(
        "--processes", type=count, metavar="N", help="how many at once (one for each processor)"
    )
    check.add_argument("--seed", type=seed, default=0, metavar="N", help="a whole number, 0 or more (0)")
    return parser


def seed(text: str) -> int:
    """A seed; the name is what argparse calls it in an error."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be a whole number, 0 or more, not {text}")
    return value


def seeds(text: str) -> range:
    """A range of seeds."""
    first, colon, end = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"must be FIRST:END, 0:1000 say, not {text!r}")
    found = range(seed(first), seed(end))
    if not found:
        raise argparse.ArgumentTypeError(f"there are no seeds in {text}")
    return found


def count(text: str) -> int:
    """A number of processes."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return value


def _replay(options: argparse.Namespace) -> int:
    attempted = attempt(load(options.function), (), options.seed, with_log=False)
    log = copy_of_log(attempted.attempt.events) if attempted.result is None else attempted.result.log
    print(log, end="")
    sys.stdout.flush()
    _draw(options, log)
    if not seeds_task_order:
        print("The order of tasks is not seeded with this version of trio.", file=sys.stderr)
    if attempted.result is None:
        print(attempted.attempt.traceback, end="", file=sys.stderr)
        return 1
    print(f"seed {options.seed}: no error in {attempted.result.duration:g} virtual seconds", file=sys.stderr)
    return 0


def _draw(options: argparse.Namespace, log: EventLog) -> None:
    for file, draw in ((options.svg, log.to_svg), (options.mermaid, log.to_mermaid)):
        if file is None:
            continue
        try:
            file.write_text(draw(), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"can not write {str(file)!r}: {error.strerror or error}") from error


def _explore(options: argparse.Namespace) -> int:
    function = load(options.function)
    start = time.monotonic()
    try:
        done = explore(function, options.seeds, processes=options.processes)
    except SeedFailed as failed:
        print(f"{failed.error}\n{failed}", file=sys.stderr)
        return 1
    print(f"{done} seeds, none failed, in {time.monotonic() - start:.1f} s")
    return 0


def _check(options: argparse.Namespace) -> int:
    function = load(options.function)
    try:
        result = check_determinism(function, seed=options.seed)
    except NotDeterministic as error:
        print(error, file=sys.stderr)
        return 1
    print(f"seed {options.seed}: two runs with the same {len(result.log)} events")
    return 0
