"""Examples stay small, and say what they show."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_when_read_then_is_short_and_says_how_to_run_it(example: Path) -> None:
    """Under 60 lines, after a docstring that says how to run, use and stop it."""
    text = example.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text)) or ""
    assert len(text.splitlines()) < 60
    assert f"Run it:      python examples/{example.name} [" in docstring
    assert "Talk to it:  " in docstring
    assert "Stop it:     Ctrl-C" in docstring
