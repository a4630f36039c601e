"""The public faces: which names there are, that each is explained, and where each says it lives."""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import trioserver
import trioserver.testing

FACES = [trioserver, trioserver.testing]


def static_names(face: ModuleType) -> set[str]:
    """What its ``__init__.py`` re-exports, as checkers see it."""
    tree = ast.parse(Path(str(face.__file__)).read_text(encoding="utf-8"))
    return {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname is not None and not alias.asname.startswith("_")
    }


def runtime_names(face: ModuleType) -> set[str]:
    """Every public name an importer sees, but not the modules, which importing them puts there."""
    return {
        name
        for name, value in vars(face).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != "annotations"
    }


def is_documented(thing: Any) -> bool:
    """Whether it can have a docstring of its own."""
    return inspect.isclass(thing) or inspect.isroutine(thing)


DOCUMENTED = [
    pytest.param(face, name, id=f"{face.__name__}.{name}")
    for face in FACES
    for name in sorted(static_names(face))
    if is_documented(getattr(face, name, None))
]


@pytest.mark.parametrize("face", FACES)
def test_every_public_name_is_reexported_on_purpose(face: ModuleType) -> None:
    """Checkers, which read ``X as X``, and programs, which read the module, see the same names."""
    names = static_names(face)
    modules = {name for name in names if isinstance(getattr(face, name), ModuleType)}
    assert names - modules == runtime_names(face)


@pytest.mark.parametrize("face", FACES)
def test_all_where_there_is_one_lists_the_public_names(face: ModuleType) -> None:
    """``from trioserver import *`` gives the public names: by rule, or by a complete list."""
    listed: list[str] | None = getattr(face, "__all__", None)
    assert listed is None or set(listed) == static_names(face)


@pytest.mark.parametrize(("face", "name"), DOCUMENTED)
def test_public_name_has_a_docstring_of_its_own(face: ModuleType, name: str) -> None:
    """``help()`` on a public class or function says something that was written for it."""
    text = getattr(face, name).__doc__
    assert text
    # What @dataclass writes where there is none is the signature, not a docstring.
    assert not text.startswith(f"{name}(")


@pytest.mark.parametrize(("face", "name"), DOCUMENTED)
def test_public_class_documents_its_public_methods(face: ModuleType, name: str) -> None:
    """Every public method and property has a docstring, its own or that of what it overrides."""
    thing = getattr(face, name)
    silent = [
        attribute
        for attribute, value in vars(thing).items()
        if not attribute.startswith("_")
        and (inspect.isroutine(value) or isinstance(value, property))
        and not inspect.getdoc(getattr(thing, attribute))
    ]
    assert silent == []


@pytest.mark.parametrize(("face", "name"), DOCUMENTED)
def test_public_name_says_it_lives_in_the_package(face: ModuleType, name: str) -> None:
    """A traceback or a repr names a place that exists, inside ``trioserver``."""
    module = getattr(face, name).__module__
    assert module == "trioserver" or module.startswith("trioserver.")
    assert getattr(sys.modules[module], name) is getattr(face, name)


def test_nothing_was_imported_as_a_second_copy() -> None:
    """``adapters.trioserver_adapters`` imports from the root, and would double each class in it."""
    assert [name for name in sys.modules if name.split(".")[0] == "adapters"] == []
