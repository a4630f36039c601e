"""Checks of handlers and hooks when a server is made: what can never work is refused, and says what would."""

from __future__ import annotations

import inspect
import sys
from types import FunctionType
from typing import Final

from .._vocabulary.errors import ConfigError

_METHODS: Final = ("setup", "handle", "finish")
_STDLIB: Final = {"StreamRequestHandler": "connections", "DatagramRequestHandler": "datagrams"}


def refuse_generators(handler: object) -> None:
    """Raise ConfigError for a handler that is called, and never run."""
    if inspect.isclass(handler):
        for name in _METHODS:
            if _yields(getattr(handler, name, None)):
                raise ConfigError(f"{handler.__name__}.{name} must not 'yield': nothing of it would be run")
    elif _yields(handler):
        raise ConfigError(f"RequestHandlerClass: {handler!r} must not 'yield': nothing of it would be run")


def check_kind(handler: object, kind: str | None, server: str) -> None:
    """Raise ConfigError for a handler class that is for another kind of request.

    Args:
      handler: The RequestHandlerClass.
      kind: What the server's requests are, in the plural; ``None`` is not known.
      server: The name of its class.
    """
    if kind is None or not inspect.isclass(handler):
        return
    serves = _kind_of(handler)
    if serves is not None and serves != kind:
        raise ConfigError(
            f"RequestHandlerClass: {handler.__name__} serves {serves}, and {server}'s requests are {kind}"
        )


def _yields(function: object) -> bool:
    return inspect.isasyncgenfunction(function) or (
        isinstance(function, FunctionType)
        and inspect.isgeneratorfunction(function)
        and not function.__code__.co_flags & inspect.CO_ITERABLE_COROUTINE  # ``types.coroutine`` made it one
    )


def _kind_of(handler: type) -> str | None:
    """What a handler class of ours, or of the stdlib's, serves; ``None`` if it does not say."""
    if (stdlib := sys.modules.get("socketserver")) is not None:
        for name, kind in _STDLIB.items():
            if issubclass(handler, getattr(stdlib, name)):
                return kind
    serves = getattr(handler, "_serves", None)
    return serves if isinstance(serves, str) else None


def check_handler(handler: object) -> None:
    """Raise ConfigError for what can never be awaited."""
    if not callable(handler):
        raise ConfigError(f"RequestHandlerClass must be callable, not {handler!r}")
    if inspect.isclass(handler) and not hasattr(handler, "__await__"):
        raise ConfigError(
            f"RequestHandlerClass: {handler.__name__} objects can not be awaited; derive the class from "
            "trioserver.BaseRequestHandler, or, if it is a synchronous handler of the stdlib's socketserver, "
            "serve it by trioserver.ThreadingTCPServer or another one of the Threading and Forking servers"
        )
    if inspect.isclass(handler):
        refuse_synchronous(handler, *_METHODS)


def refuse_synchronous(owner: type, *names: str) -> None:
    """Raise ConfigError if one of these methods is a plain ``def``: what is left of a synchronous program.

    Only where there is no doubt: a decorator's wrapper may well return what can be awaited.
    """
    for name in names:
        method = getattr(owner, name, None)
        if (
            inspect.isfunction(method)
            and not inspect.iscoroutinefunction(method)
            and not hasattr(method, "__wrapped__")
        ):
            raise ConfigError(f"{owner.__name__}.{name} must be an 'async def'")
