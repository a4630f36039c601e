"""The public face: which names there are, that each is explained, and where each says it lives."""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from types import ModuleType

import pytest

import trioserver

STATIC_NAMES = {
    alias.asname
    for node in ast.walk(ast.parse(Path(str(trioserver.__file__)).read_text(encoding="utf-8")))
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
    if alias.asname is not None
}
PUBLIC_NAMES = sorted(name for name in STATIC_NAMES if not name.startswith("_"))
DOCUMENTED = [
    name
    for name in PUBLIC_NAMES
    if inspect.isclass(getattr(trioserver, name, None)) or inspect.isroutine(getattr(trioserver, name, None))
]


def runtime_names() -> set[str]:
    """Every public name an importer sees, but not the modules, which importing them puts there."""
    return {
        name
        for name, value in vars(trioserver).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != "annotations"
    }


def test_every_public_name_is_reexported_on_purpose() -> None:
    """Checkers, which read ``X as X``, and programs, which read the module, see the same names."""
    modules = {name for name in PUBLIC_NAMES if isinstance(getattr(trioserver, name), ModuleType)}
    assert set(PUBLIC_NAMES) - modules == runtime_names()


def test_all_where_there_is_one_lists_the_public_names() -> None:
    """``from trioserver import *`` gives the public names: by rule, or by a complete list."""
    listed: list[str] | None = getattr(trioserver, "__all__", None)
    assert listed is None or sorted(listed) == PUBLIC_NAMES


@pytest.mark.parametrize("name", DOCUMENTED)
def test_public_name_has_a_docstring_of_its_own(name: str) -> None:
    """``help()`` on a public class or function says something that was written for it."""
    thing = getattr(trioserver, name)
    text = thing.__doc__
    assert text
    # What @dataclass writes where there is none is the signature, not a docstring.
    assert not text.startswith(f"{name}(")


@pytest.mark.parametrize("name", DOCUMENTED)
def test_public_class_documents_its_public_methods(name: str) -> None:
    """Every public method and property has a docstring, its own or that of what it overrides."""
    thing = getattr(trioserver, name)
    silent = [
        attribute
        for attribute, value in vars(thing).items()
        if not attribute.startswith("_")
        and (inspect.isroutine(value) or isinstance(value, property))
        and not inspect.getdoc(getattr(thing, attribute))
    ]
    assert silent == []


@pytest.mark.parametrize("name", DOCUMENTED)
def test_public_name_says_it_lives_in_the_package(name: str) -> None:
    """A traceback or a repr names a place that exists, inside ``trioserver``."""
    module = getattr(trioserver, name).__module__
    assert module == "trioserver" or module.startswith("trioserver.")
    assert getattr(sys.modules[module], name) is getattr(trioserver, name)


def test_nothing_was_imported_as_a_second_copy() -> None:
    """``adapters.trioserver_adapters`` imports from the root, and would double each class in it."""
    assert [name for name in sys.modules if name.split(".")[0] == "adapters"] == []
