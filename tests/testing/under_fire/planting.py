"""Planting a fault into a function of trioserver, in memory, and looking for it.

A fault is a replacement in the source of one function. The file of its module is compiled with it, and the
function gets the code that comes of that: so whoever has imported it before has the fault, too.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import logging
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

from trioserver.testing._explore import SeedFailed, explore

from .scenario import main

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True)
class Planted:
    """One fault.

    Attributes:
      what: What the server does wrong with it.
      promise: Which promise that breaks.
      module: Under ``trioserver``.
      function: Its qualified name.
      right: What is there; exactly once in the function's source, less its indentation.
      wrong: What is put there instead.
    """

    what: str
    promise: str
    module: str
    function: str
    right: str
    wrong: str


@dataclass(frozen=True)
class Found:
    """What became of a search."""

    seeds: int | None
    """How many seeds it took; None if it was not found."""
    how: str
    """What was said when it was found."""


def look_for(fault: Planted, seeds: Iterable[int]) -> Found:
    """Run the scenario with the fault planted, until it is found."""
    logging.getLogger("trioserver").disabled = True  # a server with a fault may have much to say
    tried: list[int] = []

    def noted() -> Iterator[int]:
        for seed in seeds:
            tried.append(seed)
            yield seed

    try:
        with planted(fault):
            explore(main, noted(), processes=1)
    except SeedFailed as failed:
        cause = failed.__cause__
        return Found(len(tried), f"{cause}" if isinstance(cause, AssertionError) else type(cause).__name__)
    finally:
        logging.getLogger("trioserver").disabled = False
    return Found(None, "")


@contextlib.contextmanager
def planted(fault: Planted) -> Iterator[None]:
    """Have the fault in trioserver for the length of a block."""
    module = importlib.import_module(f"trioserver.{fault.module}")
    function = _find(module, fault.function)
    assert module.__file__ is not None
    source = Path(module.__file__).read_text(encoding="utf-8")
    body = inspect.getsource(function)
    assert source.count(body) == 1, f"{fault.function} is not alone in {fault.module}"
    assert body.count(fault.right) == 1, f"{fault.right!r} is not once in {fault.function}"
    changed = source.replace(body, body.replace(fault.right, fault.wrong))
    wrong = _code_of(compile(changed, module.__file__, "exec", dont_inherit=True), fault.function)
    right = function.__code__
    function.__code__ = wrong
    try:
        yield
    finally:
        function.__code__ = right


def _find(module: Any, name: str) -> Any:
    """The function of that name, without what decorates it."""
    found: Any = module
    for part in name.split("."):
        found = inspect.getattr_static(found, part)
    return inspect.unwrap(found)


def _code_of(code: CodeType, name: str) -> CodeType:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_qualname == name:
                return constant
            if name.startswith(f"{constant.co_qualname}."):
                return _code_of(constant, name)
    raise LookupError(name)
