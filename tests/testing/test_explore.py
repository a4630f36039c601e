"""``explore``: many seeds, the first failure in their order, and no process left."""

from __future__ import annotations

import io
import itertools
import os
import signal
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING, Any

import pytest
import seeded_programs

import trioserver
from trioserver.testing._attempts import Attempt
from trioserver.testing._explore import SeedFailed, _Answer, _Exploration, explore
from trioserver.testing._processes import Worker
from trioserver.testing._progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

    from trioserver.testing import Network

GROUPED = """\
import trio

async def fails(number):
    assert not number < 9

async def one(network, count=1):
    async with trio.open_nursery() as outer, trio.open_nursery() as inner:
        for number in range(count):
            inner.start_soon(fails, number)

async def seven(network):
    await one(network, 7)
"""


@pytest.mark.parametrize("processes", [1, 3])
def test_the_first_failure_in_the_order_of_the_seeds_is_reported(processes: int) -> None:
    """Seeds 5, 9 and 11 fail: it is 5, with the error, the log and the command."""
    with pytest.raises(SeedFailed) as caught:
        explore(seeded_programs.unlucky, range(100), processes=processes)
    failed = caught.value
    assert failed.seed == 5
    assert failed.error.startswith("Traceback")
    assert "ValueError: seed 5 is unlucky" in failed.error
    assert [event.text for event in failed.log] == ["this is seed 5"]
    lines = str(failed).splitlines()
    assert lines.pop(1).startswith(f'  File "{seeded_programs.__file__}", line ')
    assert lines == [
        "seed 5 failed: ValueError: seed 5 is unlucky",
        '    raise ValueError(f"seed {network.seed} is unlucky")',
        "replay it with: python -m trioserver.testing replay seeded_programs:unlucky --seed 5",
        "the last of 1 events:",
        f"  {failed.log[0]}",
    ]
    assert isinstance(failed.__cause__, ValueError) == (processes == 1)


def test_the_line_that_failed_is_in_the_message_and_the_traceback_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of the groups that nurseries put it in, in whatever process it was raised."""
    (tmp_path / "grouped.py").write_text(GROUPED)
    monkeypatch.syspath_prepend(tmp_path)
    import grouped  # type: ignore[import-not-found]

    for processes in (1, 2):
        with pytest.raises(SeedFailed) as caught:
            explore(grouped.one, range(2), processes=processes)
        first, where, line, *_ = str(caught.value).splitlines()
        assert first == "seed 0 failed: AssertionError"
        assert where == f'  File "{tmp_path / "grouped.py"}", line 4, in fails'
        assert line == "    assert not number < 9"
        shown = "".join(traceback.format_exception(caught.value))
        assert shown.index("ExceptionGroup: Exceptions from Trio nursery") < shown.index("SeedFailed: ")

        with pytest.raises(SeedFailed) as caught:
            explore(grouped.seven, range(2), processes=processes)
        lines = str(caught.value).splitlines()
        assert lines[0].startswith("seed 0 failed: ExceptionGroup: ")
        assert lines.count("    assert not number < 9") == 5
        assert "and 2 more" in lines


def test_a_seed_that_comes_earlier_is_awaited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may fail too, and then it is the first, though another one was faster."""
    monkeypatch.setenv("TRIOSERVER_TEST_FILE", str(tmp_path / "file"))
    with pytest.raises(SeedFailed, match="seed 0 failed: ValueError: the first"):
        explore(seeded_programs.last_fails_first, range(100), processes=2)


@pytest.mark.parametrize("answers", [[1, 0, 2], [0, 1, 2], [2, 1, 0]])
def test_of_several_failures_the_first_counts(answers: list[int]) -> None:
    """In whatever order the answers come: all that come before the failure are awaited."""
    exploration = _Exploration("not run", range(3), Progress(3, io.StringIO()))
    for _ in range(3):
        exploration._next_order()
    for turn in answers:
        failure = None if turn == 0 else "failed"
        exploration._answers.put(_Answer(turn, Attempt(turn, failure=failure)))
    failed = exploration._collect(1)
    assert failed is not None
    assert failed.seed == 1


def test_the_order_is_that_of_the_seeds_given() -> None:
    """Not that of numbers; and they may be endless."""
    with pytest.raises(SeedFailed, match="seed 11 failed"):
        explore(seeded_programs.unlucky, [1, 11, 2, 5], processes=2)
    with pytest.raises(SeedFailed, match="seed 11 failed"):
        explore(seeded_programs.unlucky, itertools.count(10), processes=1)


@pytest.mark.parametrize("processes", [1, 2])
def test_without_a_failure_it_says_how_many_seeds_were_run(processes: int) -> None:
    """All of them."""
    assert explore(seeded_programs.unlucky, range(20, 40), processes=processes) == 20
    assert explore(seeded_programs.unlucky, [], processes=processes) == 0


def test_any_function_can_be_explored_in_this_process() -> None:
    """Also one that no other process could import; that is what happens without a number of processes."""
    seen: list[int] = []

    async def local(network: Network) -> None:
        seen.append(network.seed)

    assert explore(local, range(5)) == 5
    assert seen == list(range(5))
    with pytest.raises(trioserver.ConfigError, match="processes must be 1 for a function that can not"):
        explore(local, range(5), processes=2)


def test_a_process_that_dies_is_a_failure_of_its_seed() -> None:
    """The run did not end as it should, and nobody waits for its answer."""
    with pytest.raises(SeedFailed, match="the process that ran it ended with exit status 7") as caught:
        explore(seeded_programs.dies, range(10), processes=2)
    assert len(caught.value.log) == 0


@pytest.mark.parametrize("processes", [1, 2])
def test_seeds_are_whole_numbers(processes: int) -> None:
    """Found when their turn comes."""
    bad: Any = [1, 2, -3]
    with pytest.raises(trioserver.ConfigError, match="seeds must be a whole number"):
        explore(seeded_programs.unlucky, bad, processes=processes)


@pytest.mark.parametrize("processes", [0, -1, 1.5, "2"])
def test_processes_are_counted(processes: Any) -> None:
    """At least one."""
    with pytest.raises(trioserver.ConfigError, match="processes must be"):
        explore(seeded_programs.unlucky, range(3), processes=processes)


def test_the_processes_share_a_hash_seed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A fixed one, that a replay has too, or that of the environment: so that failures can be repeated."""
    source = "import os\nasync def main(network): raise ValueError(os.environ['PYTHONHASHSEED'])\n"
    (tmp_path / "hashes.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    import hashes  # type: ignore[import-not-found]

    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    with pytest.raises(SeedFailed, match="ValueError: 0"):
        explore(hashes.main, range(2), processes=2)
    monkeypatch.setenv("PYTHONHASHSEED", "5")
    worker = Worker()
    worker.close()
    assert worker.hash_seed == "5"


@pytest.mark.skipif(sys.platform == "win32", reason="FIFOs and SIGINT are of POSIX")
@pytest.mark.parametrize(
    ("number", "status", "message"),
    [(signal.SIGINT, 130, "Interrupted.\n"), (signal.SIGKILL, -signal.SIGKILL, "")],
)
def test_what_ends_it_leaves_no_process(tmp_path: Path, number: int, status: int, message: str) -> None:
    """Be it Ctrl-C or worse, and though the programs never end: when they are gone their FIFO is closed."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    command = [sys.executable, "-m", "trioserver.testing", "explore", "seeded_programs:never_ends"]
    environment = {
        **os.environ,
        "TRIOSERVER_TEST_FIFO": str(fifo),
        "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path),
    }
    with subprocess.Popen(
        [*command, "--processes", "2"], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        with open(fifo, "rb") as other_end:  # opened once one of the programs has
            process.send_signal(number)
            assert other_end.read() == b""
        _, errors = process.communicate()
    assert (process.returncode, errors) == (status, message)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_the_bar_is_drawn_on_a_terminal_alone() -> None:
    """And it is gone at the end."""
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        with Progress(4, stream) as progress:
            progress.step()
    assert file.getvalue() == ""
    bar, nothing = terminal.getvalue().split("\r")[1], terminal.getvalue().split("\r")[-2]
    assert "1/4 seeds" in bar
    assert nothing == " " * len(bar)


def test_the_bar_says_how_far_it_is() -> None:
    """How many, how fast, how long still; as much as there is room for."""
    progress = Progress(1000, io.StringIO())
    progress.done = 250
    assert progress.line(5.0, 80) == f"[{'#' * 10}{'.' * 30}] 250/1000 seeds, 50/s, 15 s left"
    assert progress.line(5.0, 40) == "250/1000 seeds, 50/s, 15 s left"
    assert progress.line(500.0, 80).endswith("0.5/s, 25 min left")
    assert progress.line(5e5, 80).endswith("416 h left")
    assert progress.line(0.0, 20) == "250/1000 seeds, 0.0"
    endless = Progress(None, io.StringIO())
    endless.done = 12
    assert endless.line(1.0, 80) == "12 seeds, 12/s"


def test_a_script_that_explores_when_it_is_imported_is_told_so(tmp_path: Path) -> None:
    """Its processes import it, too: each would start others, and they again."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, trioserver.testing\n"
        "os.environ['DEPTH'] = os.environ.get('DEPTH', '') + '|'\n"
        "if len(os.environ['DEPTH']) > 3:\n    os._exit(3)\n"
        "async def main(network):\n    pass\n"
        "trioserver.testing.explore(main, range(10), processes=2)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=25)
    assert done.returncode == 1
    assert "ConfigError" in done.stderr
    assert 'if __name__ == "__main__"' in done.stderr


def test_an_error_that_can_not_be_shown_is_reported_all_the_same() -> None:
    """Whatever its ``__str__`` raises, the seed and the traceback are there."""

    class BadError(Exception):
        def __str__(self) -> str:
            raise ValueError("in str")

    async def fails(network: Network) -> None:
        raise BadError

    with pytest.raises(SeedFailed, match=r"seed 7 failed: BadError: <str\(\) failed>") as caught:
        explore(fails, [7])
    assert isinstance(caught.value.__cause__, BadError)
