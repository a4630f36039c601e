"""The table of differences is about tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

from .differences import DIFFERENCES


def test_differences_when_listed_then_each_is_a_test_and_has_a_reason() -> None:
    """A test that was renamed would otherwise be forgotten in the table, and pass for the wrong reason."""
    names: dict[str, Path] = {}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        for name in re.findall(r"^async def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            key = f"{path.stem}.{name}"
            assert key not in names, "two tests of one name in one file"
            names[key] = path
    for key, reason in DIFFERENCES.items():
        assert key in names
        assert reason.endswith(".")
