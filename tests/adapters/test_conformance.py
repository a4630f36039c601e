"""What ``python -m tests.conformance`` takes for a difference, and what it sees of a suite at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ..conformance import __main__ as conformance
from ..conformance import suites
from ..conformance.outcomes import OURS, Run, differences, parse, summary

END = {
    "end": True,
    "module": "socketserver",
    "environment_altered": False,
    "descriptors": {},
    "threads": [],
    "children": 0,
}
STDLIB = Run(0, {"t.good": "passed", "t.other": "skipped", "t.bad": "failed"}, "t.bad", END)
SAME = replace(STDLIB, end={**END, "module": OURS})


def worse(**changes: Any) -> Run:
    """Our side, with a few tests that came out otherwise; None for one that is not there."""
    tests = {**SAME.tests, **{f"t.{name}": outcome for name, outcome in changes.items()}}
    return replace(SAME, tests={name: outcome for name, outcome in tests.items() if outcome is not None})


def left(**changes: Any) -> Run:
    """Our side, with something else at its end."""
    assert SAME.end is not None
    return replace(SAME, end={**SAME.end, **changes})


@pytest.mark.parametrize(
    "ours",
    [SAME, worse(bad="passed"), worse(other="passed"), left(environment_altered=False)],
    ids=["same", "failed and passes", "skipped and passes", "nothing left"],
)
def test_differences_when_ours_is_as_good_or_better_then_there_are_none(ours: Run) -> None:
    """What fails with the standard library may fail or pass; what it skips may pass."""
    assert differences(STDLIB, ours) == []


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (worse(good="failed"), "t.good: passed there, failed here"),
        (worse(good="started"), "t.good: passed there, started here"),
        (worse(good=None), "t.good: passed there, not run here"),
        (worse(good="skipped"), "t.good: passed there, skipped here: None"),
        (worse(bad="skipped"), "t.bad: failed there, skipped here: None"),
        (worse(new="skipped"), "t.new: not run there, skipped here: None"),
        (worse(new="failed"), "t.new: not run there, failed here"),
        (worse(other="failed"), "t.other: skipped there, failed here"),
        (left(module="socketserver"), "socketserver was socketserver in the end"),
        (left(environment_altered=True), "the environment was changed"),
        (left(threads=["Thread-1 (serve)"]), "threads left: 1, among them Thread-1 (serve)"),
        (left(children=2), "children left: 2"),
        (left(descriptors={"socket": 2, "pipe": 1}), "descriptors left: 1 pipe\ndescriptors left: 2 socket"),
        (replace(SAME, exit_code=3), "the runner's exit code is 3, not 0"),
        (replace(SAME, exit_code=-11, end=None), "ended early, with exit code -11; the last test was t.bad"),
        (replace(SAME, exit_code=None), "did not end in time; the last test was t.bad"),
    ],
)
def test_differences_when_ours_is_worse_then_says_where(ours: Run, expected: str) -> None:
    """Each way to be worse is one line that names the test, or what is left."""
    assert "\n".join(differences(STDLIB, ours)) == expected


def test_differences_when_the_stdlib_leaves_the_same_behind_then_there_are_none() -> None:
    """What the suite itself does is not held against our module; one more of it is."""
    leaves = {"environment_altered": True, "threads": ["a"], "children": 1, "descriptors": {"socket": 1}}
    stdlib = replace(STDLIB, exit_code=3, end={**END, **leaves})
    ours = replace(left(**leaves), exit_code=3)
    assert differences(stdlib, ours) == []
    more = replace(left(**leaves | {"descriptors": {"socket": 2}}), exit_code=3)
    assert differences(stdlib, more) == ["descriptors left: 1 socket"]


@pytest.mark.parametrize(
    ("stdlib", "expected"),
    [
        (replace(STDLIB, tests={"t.other": "skipped"}), "with the standard library no test passes"),
        (replace(STDLIB, end=None), "with the standard library it ended early"),
        (replace(STDLIB, exit_code=None), "with the standard library it did not end in time"),
        (replace(STDLIB, end=SAME.end), "socketserver was ours in the run with the standard library"),
    ],
)
def test_differences_when_the_stdlib_gives_no_standard_then_nothing_is_the_same(
    stdlib: Run, expected: str
) -> None:
    """A comparison that compares nothing is not a success."""
    assert any(expected in difference for difference in differences(stdlib, SAME))


def test_parse_when_a_test_has_several_outcomes_then_the_worst_counts() -> None:
    """A subtest or a teardown that fails makes its test fail, also when the test itself passes later."""
    outcomes = [("a", "started"), ("a", "failed"), ("a", "passed"), ("b", "started"), ("c", "skipped")]
    lines = [json.dumps({"test": test, "outcome": outcome, "details": []}) for test, outcome in outcomes]
    assert parse(lines, 2) == Run(2, {"a": "failed", "b": "started", "c": "skipped"}, "c", None)


def test_summary_then_has_the_numbers_of_both_sides_and_the_verdict_in_one_line() -> None:
    """Passed, skipped, failed, twice; a test that never ended has failed."""
    line = summary("test_t", STDLIB, worse(good="started"), ["why"])
    assert line.split() == ["test_t", "1", "1", "1", "0", "1", "2", "1", "difference"]


RUNNER = """
import os, socket, subprocess, sys, threading, unittest
from test import support

class Some(unittest.TestCase):
    def test_passes(self): pass
    def test_fails(self): self.fail()
    def test_raises(self): raise OSError
    def test_is_skipped(self): self.skipTest("no time")
    def test_subtest_fails(self):
        with self.subTest(): self.fail()
    def test_subtest_passes(self):
        with self.subTest(): pass
    @unittest.expectedFailure
    def test_fails_as_expected(self): self.fail()
    @unittest.expectedFailure
    def test_passes_unexpectedly(self): pass

class NoClass(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise OSError
    def test_never(self): pass

if sys.argv[1:] == ["leave"]:
    left = socket.socket()
    # Ends with this process, whose end of the pipe is closed then.
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    threading.Thread(target=child.wait, name="lasting", daemon=True).start()
    support.environment_altered = True
unittest.main(argv=["test"])
"""


def record(folder: Path, *arguments: str) -> Run:
    """Have ``in_suite.py`` record what a small runner does that stands in for CPython's."""
    package = folder / "test"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "support.py").write_text("environment_altered = False")
    (package / "__main__.py").write_text(RUNNER)
    records = folder / "records"
    done = subprocess.run(
        [sys.executable, str(suites.SCRIPT), str(records), *arguments],
        env={**os.environ, "PYTHONPATH": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return parse(records.read_text().splitlines(), done.returncode)


def test_in_suite_then_records_what_became_of_each_test(tmp_path: Path) -> None:
    """Every kind of outcome that unittest has, also that of a class which can not be set up."""
    run = record(tmp_path)
    names = {test.removeprefix("__main__.Some.test_"): outcome for test, outcome in run.tests.items()}
    assert names == {
        "passes": "passed",
        "fails": "failed",
        "raises": "failed",
        "is_skipped": "skipped",
        "subtest_fails": "failed",
        "subtest_passes": "passed",
        "fails_as_expected": "passed",
        "passes_unexpectedly": "failed",
        "setUpClass (__main__.NoClass)": "failed",
    }
    assert run.reasons == {"__main__.Some.test_is_skipped": "no time"}
    assert run.end == END | {"module": None}
    assert run.exit_code == 1


def test_in_suite_when_something_is_left_then_records_it(tmp_path: Path) -> None:
    """A socket, a thread, a child, and what CPython's runner says."""
    run = record(tmp_path, "leave")
    assert run.end == END | {
        "module": None,
        "environment_altered": True,
        "descriptors": {"socket": 1, "pipe": 1},
        "threads": ["lasting"],
        "children": 1,
    }


def test_finish_when_a_suite_hangs_then_it_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run says in which test; nothing that it started is left."""
    script = tmp_path / "hangs.py"
    script.write_text(
        "import json, os, sys, time\n"
        "pid = os.fork()\n"
        "if pid:\n"
        "    line = json.dumps({'test': f't.{pid}', 'outcome': 'started', 'details': []})\n"
        "    open(sys.argv[1], 'w').write(line + chr(10))\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setattr(suites, "SCRIPT", script)
    started = suites.start("test_wsgiref", "stdlib", tmp_path)
    deadline = time.monotonic() + 10
    while not started.records.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    monkeypatch.setattr(suites, "SECONDS", 0)
    monkeypatch.setattr(suites, "GRACE", 0)
    run = suites.finish(started)
    assert run.last is not None
    assert differences(STDLIB, run)[-1] == f"did not end in time; the last test was {run.last}"
    child = int(run.last.removeprefix("t."))
    while is_running(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether it is there, and not only waits to be reaped by whoever took it over."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def test_main_when_there_is_no_test_package_then_says_so_and_succeeds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As with the interpreters that some distributions ship."""
    monkeypatch.setattr(suites, "find_spec", lambda name: None)
    assert conformance.main([]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "nothing to compare with: this Python has no `test` package"
    ]


def test_main_when_a_suite_is_not_known_then_says_which_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error is not a success of nothing."""
    assert conformance.main(["test_sockets"]) == 2
    assert "no such suite: test_sockets; there are: test_socketserver" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("pairs", "code", "expected"),
    [
        ([(STDLIB, SAME)], 0, "same"),
        ([(STDLIB, worse(good="failed")), (STDLIB, SAME)], 0, "the same only when run alone"),
        ([(STDLIB, worse(good="failed"))] * 2, 1, "t.good: passed there, failed here"),
    ],
    ids=["same", "same when alone", "worse"],
)
def test_main_when_sides_differ_then_runs_each_alone_and_that_counts(
    pairs: list[tuple[Run, Run]],
    code: int,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Both at once first; what was seen then is printed also when it is not seen again."""
    left_over = [run for pair in pairs for run in pair]
    counts: list[int] = []

    def fake(suite: str, sides: list[str], folder: Path) -> list[Run]:
        counts.append(len(sides))
        suites.output_of(suite, "ours", folder).write_text("printed")
        return [left_over.pop(0) for _ in sides]

    monkeypatch.setattr(conformance, "run", fake)
    monkeypatch.setattr(conformance, "missing", lambda suite: None)
    assert conformance.main(["test_wsgiref"]) == code
    assert counts == [2, 1, 1][: len(pairs) * 2 - 1]
    output = capsys.readouterr().out
    assert expected in output
    assert ("    | printed" in output) == (code == 1)
