"""``check_determinism``: two runs with one seed, in two processes where possible, and where they differ."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
import seeded_programs

import trioserver
from trioserver.testing._determinism import NotDeterministic, check_determinism
from trioserver.testing._targets import hash_seed, is_async_function, load, name_of

if TYPE_CHECKING:
    from pathlib import Path

    from trioserver.testing import Network


def test_a_program_that_takes_all_from_the_seed_passes() -> None:
    """In two processes with different hash seeds; the first run's result comes back."""
    result = check_determinism(seeded_programs.talk, seed=1, other_process=True)
    assert result.value == b"5000 bytes"
    assert len(result.log) > 5


def test_the_order_of_a_set_of_strings_is_found() -> None:
    """It depends on ``PYTHONHASHSEED``, which only another process can have another one of."""
    with pytest.raises(NotDeterministic) as caught:
        check_determinism(seeded_programs.set_of_strings, seed=3)
    error = caught.value
    lines = str(error).splitlines()
    assert (error.seed, lines[0].partition(" on ")[0]) == (
        3,
        f"seed 3: the logs differ from line {error.line}",
    )
    assert "in another process, with PYTHONHASHSEED=" in lines[0]
    assert lines[1].endswith("  before")
    assert lines[-2:] == [f"- {error.first}", f"+ {error.second}"]
    assert error.first != error.second
    check_determinism(seeded_programs.set_of_strings, seed=3, other_process=False)


def test_the_other_process_has_another_hash_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment has."""
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    with pytest.raises(NotDeterministic, match=r"- returned '1'\n\+ returned '2'") as caught:
        check_determinism(seeded_programs.hash_seed, seed=1)
    assert caught.value.line is None


def test_what_a_run_leaves_behind_is_found_in_one_process() -> None:
    """The second run sees what the first one changed."""
    with pytest.raises(NotDeterministic, match="in the same process") as caught:
        check_determinism(seeded_programs.counts_runs, seed=1, other_process=False)
    assert caught.value.line == 1


def test_a_log_that_goes_on_is_a_difference() -> None:
    """Where one log ends and the other does not."""
    runs: list[int] = []

    async def longer(network: Network) -> None:
        network.log.note("first")
        if runs:
            network.log.note("second")
        runs.append(1)

    with pytest.raises(NotDeterministic, match=r"- \(the end of the log\)\n\+ .*second") as caught:
        check_determinism(longer, seed=1)
    assert (caught.value.line, caught.value.first) == (2, None)


def test_the_lines_before_the_difference_are_shown() -> None:
    """But not all of them."""
    numbers = iter(range(100))

    async def talkative(network: Network) -> None:
        for line in range(20):
            network.log.note(f"line {line}")
        network.log.note(f"number {next(numbers)}")

    with pytest.raises(NotDeterministic) as caught:
        check_determinism(talkative, seed=1)
    shown = [line.split(maxsplit=1)[-1] for line in str(caught.value).splitlines()[1:]]
    assert shown[:5] == [f"line {line}" for line in range(15, 20)]
    assert len(shown) == 7


@pytest.mark.parametrize(
    ("values", "differ"),
    [
        ([1, 2], True),
        ([1, 1], False),
        ([{"a", "b"}, {"b", "a"}], False),
        ([object(), object()], False),
    ],
    ids=["different", "equal", "equal sets", "can not be compared"],
)
def test_what_the_runs_returned_is_compared(values: list[Any], differ: bool) -> None:
    """If it can be: an object that only equals itself tells nothing."""
    left = iter(values)

    async def returns(network: Network) -> Any:
        return next(left)

    if differ:
        with pytest.raises(NotDeterministic, match="the logs are equal, but the outcomes differ"):
            check_determinism(returns, seed=1)
    else:
        assert check_determinism(returns, seed=1).value is values[0]


def test_an_error_that_both_runs_raise_comes_out() -> None:
    """The check has passed, and the failure is not hidden."""
    with pytest.raises(ValueError, match="seed 5 is unlucky"):
        check_determinism(seeded_programs.unlucky, seed=5)


def test_an_error_of_one_run_alone_is_a_difference() -> None:
    """So is one with another message; but the address of an object in it is not one."""
    errors: list[Exception | None] = [ValueError(object()), ValueError(object()), None]

    async def fails(network: Network) -> None:
        if (error := errors.pop()) is not None:
            raise error

    with pytest.raises(NotDeterministic, match=r"- returned None\n\+ raised ValueError"):
        check_determinism(fails, seed=1)
    errors.append(ValueError(object()))
    with pytest.raises(ValueError, match="object object"):
        check_determinism(fails, seed=1)


def test_random_numbers_that_are_not_seeded_are_found() -> None:
    """A generator that was made before the run goes on from where it was."""
    generator = random.Random(1)

    async def draws(network: Network) -> None:
        network.log.note(str(generator.random()))

    with pytest.raises(NotDeterministic):
        check_determinism(draws, seed=1)


def test_another_process_may_be_too_much_to_ask() -> None:
    """A local function, or arguments that can not be pickled, run in this one, unless that is ruled out."""

    async def local(network: Network, *args: object) -> None:
        network.log.note("here")

    check_determinism(local, lambda: 1, seed=1)
    with pytest.raises(trioserver.ConfigError, match="other_process needs a function that its module has"):
        check_determinism(local, seed=1, other_process=True)


def test_arguments_go_to_the_other_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And so does the path that the module is found on."""
    (tmp_path / "elsewhere.py").write_text("async def main(network, *args):\n    return args\n")
    monkeypatch.syspath_prepend(tmp_path)
    function = load("elsewhere:main")
    assert check_determinism(function, 1, "two", seed=1, other_process=True).value == (1, "two")


def test_names_are_found_again() -> None:
    """What ``name_of`` says is what ``load`` takes; what it could not find has no name."""
    assert name_of(seeded_programs.talk) == "seeded_programs:talk"
    assert load("seeded_programs:talk") is seeded_programs.talk
    assert name_of(lambda: None) is None
    assert name_of(Nested.program) == f"{__name__}:Nested.program"


class Nested:
    """A class with a program in it."""

    @staticmethod
    async def program(network: Network) -> None:
        """A program."""


def test_a_file_in_no_package_is_named_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a script is, or a module of tests; the name is the path from the current folder."""
    (tmp_path / "a_script.py").write_text("import a_neighbour\nasync def main(network): pass\n")
    (tmp_path / "a_neighbour.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [entry for entry in __import__("sys").path if entry])
    function = load("a_script.py:main")
    assert load("a_script.py:main") is function
    monkeypatch.setattr("sys.path", __import__("sys").path[1:])
    assert name_of(function) == "a_script.py:main"


def test_what_is_awaited_may_be_an_object() -> None:
    """Any callable with an async ``__call__`` will do."""

    class Program:
        async def __call__(self, network: Network) -> None:
            """A program."""

    assert is_async_function(Program())
    assert not is_async_function(print)


@pytest.mark.parametrize(("value", "expected"), [("", None), ("random", None), ("5", "5")])
def test_the_hash_seed_of_the_environment(
    value: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number, if one was chosen."""
    monkeypatch.setenv("PYTHONHASHSEED", value)
    assert hash_seed() == expected
