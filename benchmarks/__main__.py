"""The command line: ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import loadgen, machine, report
from benchmarks.child import BenchmarkError
from benchmarks.interleave import Rounds, run_rounds
from benchmarks.progress import Progress
from benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.workloads import Workload

FULL_ROUNDS = 32
QUICK_ROUNDS = 9


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What the user wants; ``--help`` also lists the workloads."""
    listed = "\n".join(f"  {workload.name:<9}{workload.about}" for workload in WORKLOADS.values())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure trioserver against other servers, on loopback, on two CPUs.",
        epilog=f"workloads:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds: about a minute")
    add("--rounds", type=_positive, metavar="N", help=f"instead of {FULL_ROUNDS}")
    add("--workloads", type=_workloads, default=list(WORKLOADS), metavar="A,B", help="not all")
    add("--idle", action="store_true", help="the same as --workloads idle")
    add("--subject", default="trioserver", metavar="NAME", help="the server to call ours")
    add("--peers", type=_words, default=["trio_serve_tcp"], metavar="A,B", help="the others")
    add("--json", action="store_true", help="print everything measured as JSON, and no table")
    options = parser.parse_args(arguments)
    if options.rounds is None:
        options.rounds = QUICK_ROUNDS if options.quick else FULL_ROUNDS
    if options.idle:
        options.workloads = ["idle"]
    return options


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
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
    progress = Progress(
        sum(each.rounds(asked) * each.round_seconds * len(sides_of(each, sides)) for each in chosen)
    )
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(__file__).with_name(loadgen.SOURCE_NAME)
        generator = loadgen.Loadgen(loadgen.build(source, Path(folder)), cpus.loadgen)
        try:
            for workload in chosen:
                progress.begin(f"{workload.name}: {workload.about}")
                results[workload.name] = run_rounds(
                    workload,
                    sides_of(workload, sides),
                    rounds=workload.rounds(asked),
                    loadgen=generator,
                    server_cpu=cpus.server,
                    progress=progress,
                )
        finally:
            progress.clear()
    return results


def sides_of(workload: Workload, sides: dict[str, str]) -> dict[str, str]:
    """Who takes part in *workload*, of those that were asked for."""
    if workload.against == report.TARGETS_ARE_AGAINST:
        return sides
    return {report.OURS: sides[report.OURS], workload.against: workload.against}


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


def main() -> int:
    """Measure and report; 1 when something went wrong while measuring, 0 otherwise."""
    options = parse()
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
