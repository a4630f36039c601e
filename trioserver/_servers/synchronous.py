"""What servers of synchronous handlers have in common, be it threads or processes that these run in."""

from __future__ import annotations

import functools
import inspect
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from .._vocabulary.errors import ConfigError
from .base import BaseServer
from .tcp import TCPServerOptions
from .udp import UDPServerOptions
from .unix import UnixStreamServerOptions
from .unix_datagram import UnixDatagramServerOptions

if TYPE_CHECKING:
    from typing_extensions import TypeIs

SynchronousHandler: TypeAlias = Callable[[Any, Any, Any], object]
"""What is called with ``(request, client_address, server)`` and may block until it has served the request: a
handler class of the stdlib's ``socketserver``, which does so in its constructor, or a plain function."""


class AnyServerOptions(
    TCPServerOptions,
    UnixStreamServerOptions,
    UDPServerOptions,
    UnixDatagramServerOptions,
    total=False,
):
    """The options of all servers: a mix-in does not know what it is mixed into, and a checker would refuse
    the ones that it does not name. A server looks them up all the same, when it is made."""


def check_synchronous_handler(handler: object, server: type) -> None:
    """Raise ConfigError unless ``handler`` is one that may be called in a thread or process.

    Args:
      handler: The RequestHandlerClass.
      server: The class of the server, to tell which one would be right.
    """
    if not callable(handler):
        raise ConfigError(f"RequestHandlerClass must be callable, not {handler!r}")
    if inspect.isclass(handler) and hasattr(handler, "__await__"):
        raise ConfigError(
            f"RequestHandlerClass: {handler.__name__} is awaited, and {server.__name__} calls synchronous "
            f"handlers; serve it by {_asynchronous(server)}, or derive it from a class of the stdlib's "
            "socketserver"
        )
    if inspect.isclass(handler):
        for name in ("setup", "handle", "finish"):
            if inspect.iscoroutinefunction(getattr(handler, name, None)):
                raise ConfigError(
                    f"{handler.__name__}.{name} must be a plain 'def' for {server.__name__}; a handler "
                    f"derived from one of trioserver's may have it 'async', served by {_asynchronous(server)}"
                )
    elif _is_async(handler):
        raise ConfigError(
            f"RequestHandlerClass: {handler!r} is an async function, and {server.__name__} calls synchronous "
            f"handlers; serve it by {_asynchronous(server)}"
        )


def check_kernel_sockets(sockets: tuple[Any, ...], server: type) -> None:
    """Raise ConfigError unless all sockets are the kernel's: a handler that blocks needs one that can."""
    for sock in sockets:
        if not isinstance(sock, socket.socket):
            raise ConfigError(
                f"{server.__name__} needs sockets of the operating system, for handlers that block, and its "
                f"own is a {type(sock).__name__}, of the installed socket factory: serve asynchronous "
                f"handlers there, by {_asynchronous(server)}; or synchronous ones on sockets of the "
                "operating system, without the factory"
            )


def check_synchronous_method(server: type, name: str) -> None:
    """Raise ConfigError if a hook that runs outside of the trio thread is overridden by an ``async def``."""
    if inspect.iscoroutinefunction(getattr(server, name)):
        raise ConfigError(
            f"{server.__name__}.{name} must be a plain 'def': it is called where the handler runs, and not "
            "in the trio thread"
        )


def call_handler(handler: SynchronousHandler, request: object, client_address: Any, server: Any) -> None:
    """Call a synchronous handler.

    Raises:
      TypeError: What it returned has to be awaited.
    """
    result = handler(request, client_address, server)
    if hasattr(result, "__await__"):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError(
            f"RequestHandlerClass {handler!r} returned {result!r}, which has to be awaited; "
            f"{type(server).__name__} calls synchronous handlers: serve it by {_asynchronous(type(server))}"
        )


def _is_async(function: object) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  an object may be called by an async method
    )


def _asynchronous(server: type) -> str:
    """The name of the server that ``server`` would be without its mix-in."""
    return next(
        (f"trioserver.{cls.__name__}" for cls in server.__mro__ if _is_ours(cls) and not _is_mixed(cls)),
        "a server without the mix-in",
    )


def _is_ours(cls: type) -> TypeIs[type[BaseServer[Any]]]:
    return issubclass(cls, BaseServer) and cls.__module__.startswith("trioserver.")


def _is_mixed(cls: type) -> bool:
    """Whether a mix-in of this package is in it; each has a mark."""
    return hasattr(cls, "serves_synchronously")
