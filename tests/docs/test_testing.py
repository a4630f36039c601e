"""The page on testing: its files run as they stand, and what it says of them is so."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pytest

from trioserver.testing import Client

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""

if not TEXT:
    pytest.skip("the pages are not beside the installed package", allow_module_level=True)

pytest_plugins = ["pytester"]

FILES: dict[str, str] = {}
for name, part in re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL):
    FILES[name] = FILES.get(name, "") + part


@pytest.fixture
def folder(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder with the files of the page, where they can be imported from."""
    for name, text in FILES.items():
        pytester.path.joinpath(name).write_text(text, encoding="utf-8")
    pytester.makeini("[pytest]\ntrio_mode = true\nfilterwarnings = error\npythonpath = .\n")
    return pytester


def test_every_program_is_in_a_file() -> None:
    """Each block says which it belongs to."""
    assert len(re.findall("^```python$", TEXT, flags=re.MULTILINE)) == len(
        re.findall(r"^```python\n# \w+\.py$", TEXT, flags=re.MULTILINE)
    )
    assert list(FILES) == ["store.py", "test_store.py", "explore_store.py", "run_store.py"]


def test_the_tests_of_the_page_pass(folder: pytest.Pytester) -> None:
    """All of them, in virtual time."""
    # Where it is installed, the pytest around this one has imported it already.
    again = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    result = folder.runpytest_inprocess("-p", "trioserver.testing.pytest_plugin", *again, "test_store.py")
    result.assert_outcomes(passed=FILES["test_store.py"].count("async def test_"))


def test_the_exploration_finds_nothing_and_finds_the_bug_of_the_page(
    folder: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ``read`` in place of ``readexactly`` a seed fails."""
    monkeypatch.syspath_prepend(str(folder.path))
    explore_here = "explore(main, seeds=range(20), processes=1)"
    path = folder.path / "explore_store.py"
    path.write_text(
        FILES["explore_store.py"].replace("explore(main, seeds=range(1000))", explore_here), encoding="utf-8"
    )
    assert explore_here in path.read_text(encoding="utf-8")
    assert folder.runpython(path).ret == 0
    store = folder.path / "store.py"
    store.write_text(FILES["store.py"].replace(".readexactly(", ".read("), encoding="utf-8")
    result = folder.runpython(path)
    assert result.ret != 0
    result.stderr.re_match_lines(
        [r".*assert all\(len\(data\) == 100_000.*", r".*SeedFailed: seed \d+ failed: .*"]
    )


def test_the_program_without_pytest_runs(folder: pytest.Pytester) -> None:
    """It prints the log, draws it, and finds the run to be determinate."""
    result = folder.runpython(folder.path / "run_store.py")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*server*Store serves 0.0.0.0:80"])
    assert "<svg" in (folder.path / "run.svg").read_text(encoding="utf-8")


def test_the_commands_of_the_page_work(folder: pytest.Pytester) -> None:
    """As they stand, but for fewer seeds."""
    commands = re.findall(r"^python (-m trioserver\.testing .*)$", TEXT, flags=re.MULTILINE)
    assert [command.split()[2] for command in commands] == ["explore", "replay", "check"]
    for command in commands:
        arguments = command.replace("0:1000", "0:3 --processes 1").split()
        assert folder.run(sys.executable, *arguments).ret == 0
    assert (folder.path / "run.svg").exists()
    assert (folder.path / "run.mmd").exists()


def test_the_table_of_the_client_has_every_method() -> None:
    """And no other, of those that are public."""
    section = TEXT[TEXT.index("## The client") : TEXT.index("## Without pytest")]
    rows = "\n".join(re.findall(r"^\| (.*?) \|", section, re.MULTILINE))
    named = set(re.findall(r"(\w+)\(", rows)) | set(re.findall(r"`(\w+)`", rows))
    public = {
        name
        for name, value in inspect.getmembers(Client)
        if not name.startswith("_") and (inspect.isroutine(value) or isinstance(value, property))
    }
    assert named == public - {"connect"}
