"""``python -m trioserver.testing``: what it prints, what it draws, and how it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from trioserver.testing import _command_line, _seeding
from trioserver.testing._command_line import main
from trioserver.testing._run import run

if TYPE_CHECKING:
    from pathlib import Path


def test_replay_prints_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    """All of it, as ``run`` has it, and that there was no error."""
    import seeded_programs

    assert main(["replay", "seeded_programs:talk", "--seed", "3"]) == 0
    output, errors = capsys.readouterr()
    assert output == str(run(seeded_programs.talk, seed=3).log)
    assert errors.startswith("seed 3: no error in ")


def test_replay_shows_how_a_run_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """The log up to there on one stream, the traceback on the other, and exit code 1."""
    assert main(["replay", "seeded_programs:unlucky", "--seed", "5"]) == 1
    output, errors = capsys.readouterr()
    assert output == "    0.000000             this is seed 5\n"
    assert errors.startswith("Traceback")
    assert "ValueError: seed 5 is unlucky\n" in errors


def test_replay_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Into files, in both forms."""
    svg, mermaid = tmp_path / "run.svg", tmp_path / "run.mmd"
    assert (
        main(["replay", "seeded_programs:talk", "--seed", "3", "--svg", str(svg), "--mermaid", str(mermaid)])
        == 0
    )
    assert ElementTree.fromstring(svg.read_text()).tag.endswith("svg")
    assert mermaid.read_text().startswith("sequenceDiagram\n")


def test_replay_says_what_is_not_seeded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a version of trio whose order of tasks can not be seeded a replay may differ."""
    assert _seeding.seeds_task_order
    monkeypatch.setattr(_command_line, "seeds_task_order", False)
    assert main(["replay", "seeded_programs:talk", "--seed", "3"]) == 0
    assert "The order of tasks is not seeded" in capsys.readouterr().err


def test_explore_counts_the_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    """When none fails."""
    assert main(["explore", "seeded_programs:unlucky", "--seeds", "20:30", "--processes", "1"]) == 0
    assert capsys.readouterr().out.startswith("10 seeds, none failed, in ")


def test_explore_prints_the_command_that_replays_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """Below the traceback, with exit code 1."""
    assert main(["explore", "seeded_programs:unlucky", "--processes", "1"]) == 1
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("Traceback")
    assert "\nseed 5 failed: ValueError: seed 5 is unlucky\n" in errors
    assert "replay it with: python -m trioserver.testing replay seeded_programs:unlucky --seed 5\n" in errors


def test_check_compares_two_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 if they were the same, 1 and the difference if they were not."""
    assert main(["check", "seeded_programs:talk"]) == 0
    assert capsys.readouterr().out.startswith("seed 0: two runs with the same ")
    assert main(["check", "seeded_programs:set_of_strings", "--seed", "2"]) == 1
    assert capsys.readouterr().err.startswith("seed 2: the logs differ from line ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("replay", "the following arguments are required: MODULE:FUNCTION, --seed"),
        ("", "the following arguments are required: COMMAND"),
        ("replay a:b --seed x", "argument --seed: invalid seed value: 'x'"),
        ("replay a:b --seed -1", "argument --seed: must be a whole number, 0 or more, not -1"),
        ("replay nowhere --seed 1", "must be given as package.module:function, not 'nowhere'"),
        ("replay nowhere:main --seed 1", "there is no module 'nowhere'"),
        ("replay nowhere.py:main --seed 1", "there is no file 'nowhere.py'"),
        ("replay broken:main --seed 1", "importing 'broken' failed: RuntimeError at "),
        ("replay broken.py:main --seed 1", "importing 'broken.py' failed: RuntimeError at "),
        ("replay leaves:main --seed 1", "importing 'leaves' failed: it called sys.exit()"),
        ("replay lacks:main --seed 1", "importing 'lacks' failed: No module named 'nowhere'"),
        ("replay seeded_programs:nothing --seed 1", "module 'seeded_programs' has no 'nothing'"),
        ("replay seeded_programs:not_async --seed 1", "seeded_programs:not_async is not an async function"),
        (
            "replay seeded_programs:talk --seed 1 --svg no/such/folder.svg",
            "can not write 'no/such/folder.svg': No",
        ),
        (
            "explore seeded_programs:talk --seeds 5",
            "argument --seeds: must be FIRST:END, 0:1000 say, not '5'",
        ),
        ("explore seeded_programs:talk --seeds 5:5", "argument --seeds: there are no seeds in 5:5"),
        ("explore seeded_programs:talk --seeds a:5", "argument --seeds: invalid seeds value: 'a:5'"),
        ("explore seeded_programs:talk --processes 0", "argument --processes: must be at least 1, not 0"),
    ],
)
def test_bad_input_is_one_line(
    arguments: str,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It says what is wrong, and the exit code is 2."""
    (tmp_path / "broken.py").write_text("raise RuntimeError('two\\nlines')")
    (tmp_path / "leaves.py").write_text("raise SystemExit")
    (tmp_path / "lacks.py").write_text("import nowhere")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(arguments.split())
    errors = capsys.readouterr().err
    assert caught.value.code == 2
    assert errors.startswith("python -m trioserver.testing")
    assert ": error: " in errors
    assert expected in errors
    assert errors.count("\n") == 1


def test_the_command_has_a_fixed_hash_seed(tmp_path: Path) -> None:
    """As the processes of ``explore`` have; and it finds modules in the current folder."""
    (tmp_path / "hashes.py").write_text(
        "import os\nasync def main(network): network.log.note(os.environ['PYTHONHASHSEED'])\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)}
    environment.pop("PYTHONHASHSEED", None)
    for name in ("hashes:main", "hashes.py:main"):
        result = subprocess.run(
            [sys.executable, "-m", "trioserver.testing", "replay", name, "--seed", "1"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert (result.returncode, result.stdout.split()) == (0, ["0.000000", "0"]), result.stderr
