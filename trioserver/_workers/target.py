"""What each worker makes its server with, on its way from the parent into a fresh interpreter.

A function goes by reference, as ``multiprocessing`` has it: by its module and its name, with the arguments
of a ``functools.partial`` as values. A function of the program's main file makes the worker run that file
once more, under another name than ``__main__``, so that what stands below ``if __name__ == "__main__"`` is
left out.
"""

from __future__ import annotations

import base64
import importlib
import os
import pickle
import runpy
import sys
import types
from typing import TYPE_CHECKING, Any, Final

from .._vocabulary.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .channel import Message

    MakeServer = Callable[[Any], Any]

MAIN_OF_WORKER: Final = "__mp_main__"
"""The ``__name__`` of the main file in a worker. It is ``multiprocessing``'s, which programs may know."""


def pack(make_server: MakeServer | str) -> Message:
    """Everything that a worker needs to find ``make_server``.

    Raises:
      ConfigError: It can not be found by another process.
    """
    packed: Message = {"path": [os.path.abspath(entry) for entry in sys.path], "argv": sys.argv}
    if isinstance(make_server, str):
        module, colon, name = make_server.partition(":")
        if not (module and colon and name):
            raise ConfigError(f"make_server must be 'module:function' or a function, not {make_server!r}")
        return {**packed, "name": make_server}
    if not callable(make_server):
        raise ConfigError(f"make_server must be a function or 'module:function', not {make_server!r}")
    try:
        pickled = pickle.dumps(make_server)
    except Exception as error:
        raise ConfigError(
            f"make_server: another process can not import {make_server!r} ({error}): it must be a function "
            "at the top of a module, or a functools.partial of one"
        ) from error
    if b"__main__" in pickled:
        packed["main"] = _main_file(make_server)
    return {**packed, "pickled": base64.b64encode(pickled).decode()}


def _main_file(make_server: object) -> Message:
    """How to run the main file again."""
    main = sys.modules["__main__"]
    if (spec := getattr(main, "__spec__", None)) is not None:
        return {"module": spec.name}
    if (path := getattr(main, "__file__", None)) is not None and os.path.exists(path):
        return {"file": os.path.abspath(path)}
    raise ConfigError(
        f"make_server: {make_server!r} was not read from a file that another process could import: put it "
        "into a module"
    )


def unpack(packed: Message) -> MakeServer:
    """In the worker: import what `pack` was given.

    Raises:
      ConfigError: There is no such module or function.
      BaseException: What the import raises.
    """
    sys.path[:] = packed["path"]
    sys.argv[:] = packed["argv"]
    if "main" in packed:
        _run_main(packed["main"])
    if "name" in packed:
        return _by_name(packed["name"])
    found: MakeServer = pickle.loads(base64.b64decode(packed["pickled"]))
    return found


def _run_main(how: Message) -> None:
    """Run the main file, and let what was pickled find it as ``__main__``."""
    main = types.ModuleType(MAIN_OF_WORKER)
    if "module" in how:
        names = runpy.run_module(how["module"], run_name=MAIN_OF_WORKER, alter_sys=True)
    else:
        names = runpy.run_path(how["file"], run_name=MAIN_OF_WORKER)
    main.__dict__.update(names)
    sys.modules["__main__"] = sys.modules[MAIN_OF_WORKER] = main


def _by_name(text: str) -> MakeServer:
    module, _, path = text.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module + ".").startswith(error.name + "."):
            raise ConfigError(f"make_server: there is no module {module!r}") from error
        raise
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ConfigError(f"make_server: module {module!r} has no {path!r}") from None
    if not callable(found):
        raise ConfigError(f"make_server: {text} is not a function")
    make_server: MakeServer = found
    return make_server
