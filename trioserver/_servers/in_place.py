"""Handlers that do not wait: recognising them, and calling them without a task."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from .._transports.datagram_socket import NoRoom
from .._vocabulary.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Generator

    from .._transports.datagram_socket import Datagram

    FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_METHODS: Final = ("setup", "handle", "finish")


class _Done:
    """What was done already; awaiting it is no checkpoint."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, None]:
        return
        yield


DONE: Final = _Done()
"""Returned by methods that may be awaited and need not."""


def either_way(*, has_effect: bool) -> Callable[[FunctionT], FunctionT]:
    """Mark a handler's method as one that works awaited or not, and whether it needs to be called at all."""

    def mark(method: FunctionT) -> FunctionT:
        method.either_way = has_effect  # type: ignore[attr-defined]
        return method

    return mark


def is_plain(function: object) -> bool:
    """Whether it is a plain ``def``: what it decorates decides, where it says so."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function) if callable(function) else function
    return (inspect.isfunction(function) or inspect.ismethod(function)) and not inspect.iscoroutinefunction(
        function
    )


def plain_methods(handler: type) -> dict[str, bool]:
    """For each method of a handler class that says so: whether it is a plain ``def``.

    What is inherited from the root of all handlers, the class that makes them awaitable, does nothing and so
    says nothing.
    """
    found = {}
    for name in _METHODS:
        owner = next((cls for cls in handler.__mro__ if name in vars(cls)), object)
        method = getattr(handler, name, None)
        if method is not None and "__await__" not in vars(owner) and not hasattr(method, "either_way"):
            found[name] = is_plain(method)
    return found


ServeInPlace: TypeAlias = "Callable[[Datagram, Any, Any], None]"
"""Calls a handler with a request, the client's address and the server, and is done when it returns."""


def _call_function(handler: Callable[..., Any]) -> ServeInPlace:
    def serve(request: Datagram, client_address: Any, server: Any) -> None:
        try:
            if (result := handler(request, client_address, server)) is not None:
                _refuse_awaitable(result, handler)
        except NoRoom:  # it may not wait, and so the reply is lost
            request.socket.losses.replies += 1

    return serve


def _call_methods(handler: type, methods: Container[str]) -> ServeInPlace:
    """What the constructor of the stdlib's handlers does."""
    has_setup, has_handle, has_finish = (name in methods for name in _METHODS)

    def serve(request: Datagram, client_address: Any, server: Any) -> None:
        served = handler(request, client_address, server)
        try:
            if has_setup and (result := served.setup()) is not None:
                _refuse_awaitable(result, served.setup)
            try:
                if has_handle and (result := served.handle()) is not None:
                    _refuse_awaitable(result, served.handle)
            finally:
                if has_finish and (result := served.finish()) is not None:
                    _refuse_awaitable(result, served.finish)
        except NoRoom:
            request.socket.losses.replies += 1

    return serve


def _refuse_awaitable(result: Any, function: Any) -> None:
    """Raise TypeError if a function that seemed to be a plain ``def`` is none."""
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise TypeError(f"{function!r} has a 'yield': it returned {result!r}, of which nothing has run")
    if result is DONE or not hasattr(result, "__await__"):
        return
    if inspect.iscoroutine(result):
        result.close()
    raise TypeError(
        f"{function!r} is a plain 'def' and is called in place, but what it returned has to be awaited: "
        "make it an 'async def'"
    )


def in_place(handler: Any) -> ServeInPlace | None:
    """How to call ``handler`` in place; ``None`` if it has to be awaited, or is no handler of ours."""
    if not inspect.isclass(handler):
        return _call_function(handler) if is_plain(handler) else None
    plain = plain_methods(handler)
    if not hasattr(handler, "__await__") or not plain or not all(plain.values()):
        return None
    either = {name for name in _METHODS if getattr(getattr(handler, name), "either_way", False)}
    return _call_methods(handler, {*plain, *either})


def check_datagram_handler(handler: object, server: str) -> None:
    """Raise ConfigError for what can be neither awaited nor called in place."""
    if not callable(handler):
        raise ConfigError(f"RequestHandlerClass must be callable, not {handler!r}")
    if not inspect.isclass(handler):
        return
    if not hasattr(handler, "__await__"):
        raise ConfigError(
            f"RequestHandlerClass: {handler.__name__} is no handler class of trioserver's: derive it from "
            "trioserver.DatagramRequestHandler, where its methods may be plain functions if they do not "
            f"block; or serve it from threads, with trioserver.Threading{server}"
        )
    plain = plain_methods(handler)
    if len(set(plain.values())) > 1:
        said = ", ".join(f"{name} is {'plain' if is_plain else 'async'}" for name, is_plain in plain.items())
        raise ConfigError(
            f"RequestHandlerClass: the methods of {handler.__name__} must be either all 'async def', or all "
            f"plain 'def' and called in place; {said}"
        )
