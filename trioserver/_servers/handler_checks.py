"""Checks of handlers and hooks when a server is made: what can never work is refused, and says what would."""

from __future__ import annotations

import inspect
import sys
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from .._vocabulary.errors import ConfigError
from .._vocabulary.options import check_count, check_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

_METHODS: Final = ("setup", "handle", "finish")
_CALLBACKS: Final = ("setup", "data_received", "eof_received", "finish")
_PLAIN: Final = {f"{__package__}.{name}" for name in ("hooks", "stream", "tcp")}
_OPTIONS: Final[dict[str, Callable[[str, Any], object]]] = {
    "timeout": partial(check_seconds, none="no bound"),
    "finish_timeout": check_seconds,
    "max_line_bytes": check_count,
}
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
        if is_callback_handler(handler):
            _check_callback_handler(handler)
        else:
            refuse_synchronous(handler, *_METHODS)
            if _kind_of(handler) == "connections":
                _check_options(handler)
    elif inspect.iscoroutinefunction(handler):
        _check_arguments(handler)


def _check_options(handler: Any) -> None:
    """Raise ConfigError for an option of a stream handler's class that can not be used."""
    for name, check in _OPTIONS.items():
        value = getattr(handler, name)
        if not hasattr(value, "__get__"):  # a property is asked for each handler
            check(f"{handler.__name__}.{name}", value)


def _check_arguments(handler: Any) -> None:
    """Raise ConfigError for a function that can never be called as handlers are: a method of a class, say."""
    try:
        inspect.signature(handler).bind("request", "client_address", "server")
    except TypeError as error:
        raise ConfigError(
            f"RequestHandlerClass: {handler!r} is called with a request, a client address and a server, and "
            f"can not be: {error}"
        ) from None


def is_callback_handler(handler: object) -> bool:
    """Whether it is a class of handlers whose methods are called whenever there is something for them."""
    return inspect.isclass(handler) and getattr(handler, "is_called_back", False) is True


def _check_callback_handler(handler: Any) -> None:
    """Raise ConfigError for a method that would have to be awaited, and for options that can not be used."""
    name = handler.__name__
    for method in _CALLBACKS:
        function = getattr(handler, method)
        if inspect.iscoroutinefunction(function) or _yields(function):
            raise ConfigError(
                f"{name}.{method} must be a plain 'def': it is called in place, and can not wait; a handler "
                "that waits is a trioserver.StreamRequestHandler"
            )
    if getattr(handler, "handle", None) is not None:
        raise ConfigError(
            f"{name}.handle is never called: a trioserver.CallbackRequestHandler has data_received(data) for "
            "what comes, and trioserver.StreamRequestHandler is for handlers that serve a whole connection"
        )
    delimiter = handler.delimiter
    if delimiter is not None and not (isinstance(delimiter, bytes) and delimiter):
        raise ConfigError(
            f"{name}.delimiter must be at least one byte, or None for no lines, not {delimiter!r}"
        )
    check_count(f"{name}.max_line_bytes", handler.max_line_bytes)
    check_count(f"{name}.max_unsent_bytes", handler.max_unsent_bytes)
    check_seconds(f"{name}.timeout", handler.timeout, none="no bound")


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


def is_overridden(server: object, name: str) -> bool:
    """Whether a hook of a server is not the one that stream servers have by themselves."""
    if name in vars(server):
        return True
    owner = next(cls for cls in type(server).__mro__ if name in vars(cls))
    return owner.__module__ not in _PLAIN or getattr(vars(owner)[name], "__module__", "") not in _PLAIN
