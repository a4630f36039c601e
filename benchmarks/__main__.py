"""The command line: ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import document, loadgen, machine, plots, report
from benchmarks.child import BenchmarkError
from benchmarks.everything import measure_everything
from benchmarks.interleave import Bench, Rounds, run_rounds
from benchmarks.peers import PEERS
from benchmarks.progress import Progress
from benchmarks.results import Results
from benchmarks.standing import Standing
from benchmarks.workloads import USUAL, WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.workload import Workload

FULL_ROUNDS = 32
QUICK_ROUNDS = 9


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What the user wants; ``--help`` also lists the workloads."""
    listed = "\n".join(f"  {workload.name:<11}{workload.about}" for workload in WORKLOADS.values())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure trioserver against other servers, on loopback, on two CPUs.",
        epilog=f"workloads:\n{listed}\n\nservers: python -m benchmarks.peers lists them",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds: about a minute")
    add("--rounds", type=_positive, metavar="N", help=f"instead of {FULL_ROUNDS}; with --all: at most")
    add("--workloads", type=_workloads, default=list(USUAL), metavar="A,B", help="not all")
    add("--idle", action="store_true", help="the same as --workloads idle")
    add("--subject", default="trioserver", metavar="NAME", help="the server to call ours")
    add("--peers", type=_words, default=[], metavar="A,B", help="the others, of each workload")
    add("--all", action="store_true", help="every workload with every server: 25 minutes, or two if --quick")
    add("--output", type=Path, metavar="FOLDER", help="with --all: where to write document and plots")
    add("--save", type=Path, metavar="FILE", help="with --all: where to keep what was measured")
    add(
        "--from", type=Path, dest="source", metavar="FILE", help="with --all: what was kept, instead of a run"
    )
    add("--json", action="store_true", help="print everything measured as JSON, and no table")
    options = parser.parse_args(arguments)
    for name, value in ("--output", options.output), ("--save", options.save), ("--from", options.source):
        if value is not None and not options.all:
            parser.error(f"{name} is for --all")
    if options.rounds is None and not options.all:
        options.rounds = QUICK_ROUNDS if options.quick else FULL_ROUNDS
    if options.idle:
        options.workloads = ["idle"]
    return options


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, at least 1, not {text}")
    return number


def _words(text: str) -> list[str]:
    return text.split(",")


def _workloads(text: str) -> list[str]:
    unknown = [name for name in _words(text) if name not in WORKLOADS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no such workload: {', '.join(unknown)}")
    return _words(text)


def measure(names: Sequence[str], sides: dict[str, str], asked: int) -> dict[str, Rounds]:
    """Measure the workloads called *names*, one after the other, with *asked* rounds if short."""
    cpus = machine.choose_cpus()
    chosen = [WORKLOADS[name] for name in names]
    for workload in chosen:
        for server in sides_of(workload, sides).values():
            check(workload, server)
    progress = Progress(
        sum(each.rounds(asked) * each.seconds(1.0) * len(sides_of(each, sides)) for each in chosen)
    )
    results = {}
    with tempfile.TemporaryDirectory() as folder, Standing(cpus) as standing:
        generator = loadgen.Loadgen(loadgen.build(Path(folder)), cpus.loadgen)
        bench = Bench(generator, cpus, standing, progress)
        try:
            for workload in chosen:
                progress.begin(f"{workload.name}: {workload.about}")
                results[workload.name] = run_rounds(
                    workload, sides_of(workload, sides), workload.rounds(asked), bench
                )
        finally:
            progress.clear()
    return results


def check(workload: Workload, server: str) -> None:
    """Refuse what can not be measured, before anything is started.

    Raises:
      BenchmarkError: There is no such server, it does not do such work, or something is not installed.
    """
    if server not in PEERS:
        raise BenchmarkError(f"no such server: {server} (python -m benchmarks.peers lists them)")
    if workload.mode not in PEERS[server].modes:
        able = ", ".join(name for name, peer in PEERS.items() if workload.mode in peer.modes)
        raise BenchmarkError(f"{server} can not be measured with {workload.name}, but {able}")
    if lacks := PEERS[server].missing(workload.mode):
        raise BenchmarkError(f"{server} with {workload.name} needs what is not installed: {', '.join(lacks)}")


def sides_of(workload: Workload, sides: dict[str, str]) -> dict[str, str]:
    """Who takes part in *workload*: those that were asked for, or else whom it is mostly held against."""
    if len(sides) > 1:
        return sides
    return sides | {workload.against: workload.against}


def show(about: dict[str, str], results: dict[str, Rounds], sides: dict[str, str], *, as_json: bool) -> None:
    """Print the tables, one for each peer; or everything, for another program to read."""
    rows = [row for name, rounds in results.items() for row in report.rows(WORKLOADS[name], rounds)]
    if as_json:
        print(json.dumps(report.as_json(about, sides, rows, results), indent=1))
        return
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    for peer in dict.fromkeys(row.peer for row in rows):
        print("\n" + report.header(peer, sides[report.OURS]))
        print(*(row for row in rows if row.peer == peer), sep="\n")


def everything(options: argparse.Namespace) -> int:
    """Measure all of it, or take what was kept, and write the documents."""
    try:
        results = (
            Results.load(options.source)
            if options.source
            else measure_everything(options.quick, options.rounds)
        )
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if options.save:
        results.save(options.save)
    text = document.write(results)
    print(text)
    if options.output:
        (options.output / "performance-figures.md").write_text(text)
        plots.write_files(results, options.output)
    problems = [*results.left_out, *results.errors()]
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
    return 1 if results.errors() else 0


def main() -> int:
    """Measure and report; 1 when something went wrong while measuring, 0 otherwise."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the servers have to be ended then, too
    options = parse()
    if options.all:
        return everything(options)
    about = machine.describe()  # before, and not after: somebody may be working on the checkout
    sides = {report.OURS: options.subject} | {peer: peer for peer in options.peers}
    try:
        results = measure(options.workloads, sides, options.rounds)
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # as a shell has it: 128 and the number of SIGINT
    show(about, results, sides, as_json=options.json)
    failures = [
        f"{name}: {label} made {count} error(s): do not trust its figures"
        for name, rounds in results.items()
        for label, count in report.count_errors(rounds).items()
        if count
    ]
    print(*failures, sep="\n", end="\n" if failures else "", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
