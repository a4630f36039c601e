"""Runs a suite of CPython's with either module, each in a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .outcomes import Run, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

SUITES = {
    # It asks for the network, and uses 127.0.0.1 only. The others that do would go further, and are left as
    # they are.
    "test_socketserver": ["-u", "network"],
    "test_httpservers": [],
    "test_xmlrpc": [],
    "test_docxmlrpc": [],
    "test_wsgiref": [],
    "test_logging": [],
    "test_imaplib": [],
    "test_urllib2_localnet": [],
}
"""CPython's suites that use ``socketserver`` or what is built on it, and what their runner is to be told."""

SECONDS = 120
"""How long a suite may take; the longest takes 15 seconds. The runner prints all stacks then, and ends."""
GRACE = 10
"""How long after that the process is killed."""

SCRIPT = Path(__file__).with_name("in_suite.py")
SIDES = {"stdlib": [], "ours": ["-m", "trioserver_adapters"]}
"""What comes between the interpreter and the script."""


class Started(NamedTuple):
    """A suite that runs."""

    process: subprocess.Popen[bytes]
    records: Path


def missing(suite: str) -> str | None:
    """Why this interpreter can not run the suite, if it can not."""
    if find_spec("test") is None or find_spec("test.libregrtest") is None:
        return "this Python has no `test` package"
    if find_spec(f"test.{suite}") is None:
        return f"this Python's `test` package lacks {suite}"
    return None


def start(suite: str, side: str, folder: Path) -> Started:
    """Start it; what it prints and records goes to files in ``folder``."""
    records = folder / f"{suite}.{side}.records"
    records.unlink(missing_ok=True)
    records.touch()
    options = ["--fail-env-changed", "--timeout", str(SECONDS), *SUITES[suite], suite]
    with output_of(suite, side, folder).open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *SIDES[side], str(SCRIPT), str(records), *options],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A group of its own, so that what it started can be killed with it.
            start_new_session=True,
        )
    return Started(process, records)


def output_of(suite: str, side: str, folder: Path) -> Path:
    """Where it is printed to."""
    return folder / f"{suite}.{side}.output"


def finish(started: Started) -> Run:
    """Wait for its end, for so long and no longer."""
    exit_code: int | None
    try:
        exit_code = started.process.wait(SECONDS + GRACE)
    except subprocess.TimeoutExpired:
        exit_code = None
    # Also what it left behind; with nobody left there is no such group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.process.pid, signal.SIGKILL)
    started.process.wait()
    return parse(started.records.read_text(encoding="utf-8").splitlines(), exit_code)


def run(suite: str, sides: Sequence[str], folder: Path) -> list[Run]:
    """Run it on all of these sides at once."""
    return [finish(one) for one in [start(suite, side, folder) for side in sides]]
