"""What a run of a suite came to, and how the one with our module differs from the standard library's."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

OURS = "trioserver_adapters.socketserver"

RANKS = ["started", "passed", "skipped", "failed"]
"""Of several outcomes of one test the last in this order counts: a test whose teardown fails has failed."""


@dataclass(frozen=True)
class Run:
    """One run of one suite."""

    exit_code: int | None
    """Of CPython's runner; None: it had to be killed after its time."""
    tests: dict[str, str]
    """What became of each test. Skipped or failed as a whole, a class or a module is a test, too."""
    last: str | None = None
    """The test that was recorded last."""
    end: dict[str, Any] | None = None
    """What the runner noticed and what was left; None if the process did not come so far."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why tests were skipped."""

    def count(self, outcome: str) -> int:
        """How many tests had it."""
        return Counter(self.tests.values())[outcome]


def parse(lines: Iterable[str], exit_code: int | None) -> Run:
    """Make a run of what its process has recorded."""
    tests: dict[str, str] = {}
    reasons: dict[str, str] = {}
    last = end = None
    for line in lines:
        entry = json.loads(line)
        if entry.get("end"):
            end = entry
            continue
        last, outcome = entry["test"], entry["outcome"]
        tests[last] = max(outcome, tests.get(last, outcome), key=RANKS.index)
        if entry["details"]:
            reasons[last] = entry["details"][0]
    return Run(exit_code, tests, last, end, reasons)


def differences(stdlib: Run, ours: Run) -> list[str]:
    """Why ``ours`` is not as good as ``stdlib``; empty if it is.

    What fails with the standard library and passes with our module is no reason.
    """
    if (ending := early(stdlib)) is not None:
        return [f"no comparison: with the standard library it {ending}"]
    if stdlib.count("passed") == 0:
        return ["no comparison: with the standard library no test passes"]
    found = [*of_tests(stdlib, ours)]
    if (ending := early(ours)) is not None:
        return [*found, ending]
    found += of_surroundings(stdlib, ours)
    if not found and ours.exit_code != 0 and stdlib.exit_code == 0:
        found.append(f"the runner's exit code is {ours.exit_code}, not 0")
    return found


def early(run: Run) -> str | None:
    """How the process ended, if it did so before its time, or was made to."""
    if run.exit_code is None:
        return f"did not end in time; the last test was {run.last}"
    if run.end is None:
        return f"ended early, with exit code {run.exit_code}; the last test was {run.last}"
    return None


def of_tests(stdlib: Run, ours: Run) -> Iterator[str]:
    """The tests that came out worse."""
    for test in sorted(stdlib.tests.keys() | ours.tests.keys()):
        expected, got = stdlib.tests.get(test), ours.tests.get(test)
        if got == "skipped" and expected != "skipped":
            yield f"{test}: {expected or 'not run'} there, skipped here: {ours.reasons.get(test)}"
        elif expected == "passed" and got != "passed":
            yield f"{test}: passed there, {got or 'not run'} here"
        elif got in {"failed", "started"} and expected not in {"failed", "started"}:
            yield f"{test}: {expected or 'not run'} there, {got} here"


def of_surroundings(stdlib: Run, ours: Run) -> Iterator[str]:
    """What was left behind, or was not what it should have been, though each test may have passed."""
    assert stdlib.end is not None
    assert ours.end is not None
    if ours.end["module"] != OURS:
        yield f"socketserver was {ours.end['module']} in the end"
    if stdlib.end["module"] == OURS:
        yield "socketserver was ours in the run with the standard library"
    if ours.end["environment_altered"] and not stdlib.end["environment_altered"]:
        yield "the environment was changed"
    if threads := ours.end["threads"][len(stdlib.end["threads"]) :]:
        yield f"threads left: {len(threads)}, among them {', '.join(threads[:5])}"
    if (more := ours.end["children"] - stdlib.end["children"]) > 0:
        yield f"children left: {more}"
    descriptors = Counter(ours.end["descriptors"]) - Counter(stdlib.end["descriptors"])
    yield from (f"descriptors left: {count} {kind}" for kind, count in sorted(descriptors.items()))


HEADING = f"{'suite':24} {'stdlib: passed skipped failed':>30} {'ours: passed skipped failed':>30}  verdict"


def summary(suite: str, stdlib: Run, ours: Run, found: list[str]) -> str:
    """The suite in one line."""
    sides = [
        f"{run.count('passed'):>14} {run.count('skipped'):>7} {run.count('failed') + run.count('started'):>7}"
        for run in (stdlib, ours)
    ]
    verdict = "same" if not found else f"{len(found)} difference{'s' * (len(found) > 1)}"
    return f"{suite:24} {sides[0]} {sides[1]}  {verdict}"
