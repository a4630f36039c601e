"""One of CPython's suites, in this process: ``python in_suite.py RECORDS REGRTEST-ARGUMENT ...``.

The suites are run by CPython's own runner, ``python -m test``, which knows what they need, and which notices
threads, children and settings that they leave behind. What it says about single tests is for people, and
differs between versions, so the tests are recorded where all of them pass by, in ``unittest.TestResult``: one
line of JSON each, written at once, so that the last line names the test that hangs or brings the process
down. At the end follow what the runner noticed, and what is left.

This file is run as a script, by either module's side, and so imports nothing of the project.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import sys
import threading
import unittest
from collections import Counter
from typing import Any

OUTCOMES = {
    "startTest": "started",
    "addSuccess": "passed",
    "addExpectedFailure": "passed",
    "addSkip": "skipped",
    "addFailure": "failed",
    "addError": "failed",
    "addUnexpectedSuccess": "failed",
    "addSubTest": "failed",
}


def main() -> None:
    """Run the suite, and end with the exit code of CPython's runner."""
    records, *sys.argv[1:] = sys.argv[1:]
    # The suites must not find the folder of this file; python -m test has the current one in its place.
    sys.path[:] = [entry for entry in sys.path if entry != os.path.dirname(os.path.abspath(__file__))]
    # Opened once and appended to, whatever folder the suites go to; a forked child never comes here.
    file = open(records, "a", buffering=1, encoding="utf-8")  # noqa: SIM115

    def record(**entry: Any) -> None:
        if file.closed:
            return
        file.write(json.dumps(entry) + "\n")

    for name, outcome in OUTCOMES.items():
        watch(name, outcome, record)
    before = descriptors()
    try:
        runpy.run_module("test", run_name="__main__", alter_sys=True)
    finally:
        gc.collect()
        module = sys.modules.get("socketserver")
        record(
            end=True,
            module=getattr(module, "__name__", None),
            environment_altered=sys.modules["test.support"].environment_altered,
            descriptors=descriptors() - before,
            threads=[
                thread.name for thread in threading.enumerate() if thread is not threading.current_thread()
            ],
            children=children(),
        )
        file.close()


def watch(name: str, outcome: str, record: Any) -> None:
    """Have one method of ``unittest.TestResult`` record its tests too."""
    original = getattr(unittest.TestResult, name)

    def recording(self: unittest.TestResult, test: Any, *details: Any) -> Any:
        # What subtests report is no more than their failures; the test's own outcome comes from these.
        if name != "addSubTest" or details[1] is not None:
            record(
                test=test.id(),
                outcome=outcome,
                details=[str(detail) for detail in details if name == "addSkip"],
            )
        return original(self, test, *details)

    setattr(unittest.TestResult, name, recording)


def descriptors() -> Counter[str]:
    """How many of each kind are open."""
    folder = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
    kinds: Counter[str] = Counter()
    for name in os.listdir(folder):
        try:
            what = os.readlink(f"{folder}/{name}") if sys.platform == "linux" else "any"
        except OSError:
            continue  # the one that listing the folder needed
        kinds["file" if what.startswith("/") else what.partition(":[")[0]] += 1
    return kinds


def children() -> int:
    """How many children there are that nobody has waited for."""
    found = 0
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            found += 1
    except ChildProcessError:
        return found
    return found + 1  # at least one that still runs


if __name__ == "__main__":
    main()
