"""The module as a whole: its names, their signatures, and the bases and defaults of its classes."""

from __future__ import annotations

import inspect
import socketserver
import subprocess
import sys
from typing import Any

import pytest

CLASSES = [name for name in socketserver.__all__ if inspect.isclass(getattr(socketserver, name))]

ADDED: dict[str, set[str]] = {
    "BaseServer": {"request_timeout", "request_shutdown", "forget_late_shutdown"},
    "TCPServer": {"linger_timeout"},
    "ThreadingMixIn": {
        *("max_requests", "reuse_threads", "defer_handshake", "handshake_timeout", "grace_period"),
    },
    "ForkingMixIn": {"grace_period"},
    "DatagramRequestHandler": {"send_empty_reply", "ignore_reply_errors"},
}
"""What ours has, and the stdlib has not, by class."""

ADDED_PARAMETERS = {("ThreadingMixIn", "server_close"), ("ForkingMixIn", "server_close")}


def own(cls: type) -> dict[str, Any]:
    """What a class defines itself; without what every class has."""
    wanted = ("__init__", "__enter__", "__exit__")
    return {name: value for name, value in vars(cls).items() if name in wanted or name[0] != "_"}


def test_all_is_that_of_the_stdlib(module: Any) -> None:
    """Of the Python that runs it, each name once; and all of them are there."""
    assert sorted(module.__all__) == sorted(socketserver.__all__)
    for name in module.__all__:
        assert inspect.isclass(getattr(module, name))
    namespace: dict[str, Any] = {}
    exec(f"from {module.__name__} import *", namespace)
    assert set(namespace) - {"__builtins__"} == set(module.__all__)


def test_all_names_what_says_that_it_is_of_the_module(module: Any, is_ours: bool) -> None:
    """And nothing else does, as CPython's own test has it: so it can be pickled, and found.

    But for two classes that ours has in Python 3.11 already.
    """
    public = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    found = [name for name, value in public.items() if getattr(value, "__module__", "") == module.__name__]
    early = {"ForkingUnixStreamServer", "ForkingUnixDatagramServer"} if is_ours else set()
    assert set(module.__all__) <= set(found) <= {*module.__all__, *early}


def test_the_version_is_that_of_the_stdlib(module: Any) -> None:
    """It has not changed for twenty years."""
    assert module.__version__ == "0.4"


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_has_the_bases_of_the_stdlib(module: Any, name: str) -> None:
    """All of them, in their order; there may be private ones between."""
    cls = getattr(module, name)
    assert (cls.__name__, cls.__qualname__) == (name, name)
    bases = [base.__name__ for base in cls.__mro__ if not base.__name__.startswith("_")]
    assert bases == [base.__name__ for base in getattr(socketserver, name).__mro__]
    for base in cls.__mro__[:-1]:
        if not base.__name__.startswith("_"):
            assert getattr(module, base.__name__) is base


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    """The names, kinds and defaults of a function's parameters."""
    signature = inspect.signature(function)
    return [(each.name, each.kind, each.default) for each in signature.parameters.values()]


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_defines_what_the_stdlibs_class_defines(module: Any, is_ours: bool, name: str) -> None:
    """Itself, not by inheritance: methods with the same signatures, attributes with the same defaults."""
    cls, stdlibs = getattr(module, name), getattr(socketserver, name)
    added = ADDED.get(name, set()) if is_ours else set()
    defined = own(cls)
    assert set(defined) - added == set(own(stdlibs))
    assert added <= set(defined)
    for attribute, value in own(stdlibs).items():
        if not inspect.isfunction(value):
            assert (attribute, defined[attribute]) == (attribute, value)
            assert type(defined[attribute]) is type(value)
            continue
        expected = parameters(value)
        found = parameters(defined[attribute])
        assert found[: len(expected)] == expected
        extra = [each for each, *_ in found[len(expected) :]]
        assert extra == (["grace_period"] if is_ours and (name, attribute) in ADDED_PARAMETERS else [])


def test_what_ours_adds_is_off_where_the_contract_says_otherwise(module: Any, is_ours: bool) -> None:
    """And the stdlib has none of it."""
    defaults = {
        ("BaseServer", "request_timeout"): None,
        ("BaseServer", "forget_late_shutdown"): False,
        ("TCPServer", "linger_timeout"): 2.0,
        ("ThreadingMixIn", "max_requests"): None,
        ("ThreadingMixIn", "reuse_threads"): False,
        ("ThreadingMixIn", "defer_handshake"): True,
        ("ThreadingMixIn", "handshake_timeout"): 10.0,
        ("ThreadingMixIn", "grace_period"): None,
        ("ForkingMixIn", "grace_period"): None,
        ("DatagramRequestHandler", "send_empty_reply"): True,
        ("DatagramRequestHandler", "ignore_reply_errors"): False,
    }
    missing = object()
    found = {(name, each): getattr(getattr(module, name), each, missing) for name, each in defaults}
    assert found == (defaults if is_ours else dict.fromkeys(defaults, missing))


def test_what_programs_use_of_the_private_names_is_there(module: Any) -> None:
    """On the classes, so that a constructor that fails finds them as well."""
    assert module.ForkingMixIn.active_children is None
    assert callable(module.ThreadingMixIn._threads.join)


def test_forking_classes_need_a_fork(module: Any) -> None:
    """Where there is none the module has none of them; the others are there."""
    program = f"""
import os
del os.fork
import {module.__name__} as module
print([name for name in dir(module) if "Fork" in name], [name for name in module.__all__ if "Fork" in name])
print(sorted(module.__all__))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    names = sorted(name for name in socketserver.__all__ if "Forking" not in name)
    assert run.stdout.splitlines() == ["[] []", str(names)]
