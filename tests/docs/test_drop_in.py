"""The page on the drop-in: its table has every attribute that the stdlib's classes lack, with its default."""

from __future__ import annotations

import inspect
import re
import socketserver as stdlib
from pathlib import Path

import pytest

from trioserver_adapters import socketserver

PAGE = Path(__file__).parents[2] / "docs" / "drop-in.md"
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""

if not TEXT:
    pytest.skip("the pages are not beside the installed package", allow_module_level=True)


def rows() -> dict[tuple[str, str], str]:
    """The attributes of the table: class and name, and the default."""
    found = {}
    for cells in re.findall(r"^\| (`.*?) \| `(.*?)` \|", TEXT, re.MULTILINE):
        for cls, name in re.findall(r"`(\w+)\.(\w+)`", cells[0]):
            found[cls, name] = cells[1]
    return found


def added() -> dict[tuple[str, str], str]:
    """What our classes define as plain attributes, and the stdlib's do not have."""
    return {
        (cls, name): repr(value)
        for cls in socketserver.__all__
        for name, value in vars(getattr(socketserver, cls)).items()
        if not name.startswith("_") and not callable(value) and not inspect.isdatadescriptor(value)
        if not hasattr(getattr(stdlib, cls, None), name)
    }


def test_the_table_has_every_attribute_that_is_ours() -> None:
    """And no other one, with the default it has."""
    assert rows() == added()


def test_methods_that_are_ours_are_named() -> None:
    """There is one."""
    methods = {
        name
        for cls in socketserver.__all__
        for name in dir(getattr(socketserver, cls))
        if not name.startswith("_") and callable(getattr(getattr(socketserver, cls), name))
        if hasattr(stdlib, cls) and not hasattr(getattr(stdlib, cls), name)
    }
    assert methods == {"request_shutdown"}
    assert "`request_shutdown()`" in TEXT
