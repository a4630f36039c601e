"""Handlers by name, and the one that is served when none is named."""

from __future__ import annotations

import importlib
import inspect
import os
import socketserver
import sys
from typing import TYPE_CHECKING, Any

import trioserver

from .._engine.describe import describe_error

if TYPE_CHECKING:
    from collections.abc import Callable


class EchoHandler(trioserver.StreamRequestHandler):
    """Sends every line back: what is served when nothing else is named."""

    async def handle(self) -> None:
        """Answer until the client is done, or the server drains."""
        while await self.wait_request():
            await self.wfile.write(await self.rfile.readline())


def load_handler(name: str) -> Callable[..., Any]:
    """Import ``MODULE:HANDLER``.

    Raises:
      ConfigError: There is no such thing, its import fails, or it is no handler.
    """
    module_name, colon, path = name.partition(":")
    if not colon or not module_name or not path:
        raise trioserver.ConfigError(f"the handler must be given as MODULE:HANDLER, not {name!r}")
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except SystemExit as error:
        raise trioserver.ConfigError(f"importing {module_name!r} failed: it called sys.exit()") from error
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name + ".").startswith(error.name + "."):
            hint = ": a module has no .py in its name" if module_name.endswith(".py") else ""
            raise trioserver.ConfigError(f"there is no module {module_name!r}{hint}") from error
        raise _import_failed(module_name, error) from error
    except Exception as error:
        raise _import_failed(module_name, error) from error
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise trioserver.ConfigError(f"module {module_name!r} has no {path!r}") from None
        except Exception as error:  # a module may have a __getattr__, which may import another one
            raise trioserver.ConfigError(f"getting {name} failed: {describe_error(error)}") from error
    awaitable_class = inspect.isclass(found) and hasattr(found, "__await__")
    if not (awaitable_class or inspect.iscoroutinefunction(found)):
        hint = ""
        if inspect.isclass(found) and issubclass(found, socketserver.BaseRequestHandler):
            hint = "; a synchronous handler is for a program of your own, with trioserver.ThreadingTCPServer"
        raise trioserver.ConfigError(
            f"{name} is not a handler: it must be an async function or a subclass of "
            f"trioserver.BaseRequestHandler{hint}"
        )
    handler: Callable[..., Any] = found
    return handler


def _import_failed(module_name: str, error: Exception) -> trioserver.ConfigError:
    return trioserver.ConfigError(f"importing {module_name!r} failed: {describe_error(error)}")
