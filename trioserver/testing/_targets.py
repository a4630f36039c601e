"""Functions by name, so that another process, or a command, can run the same one."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import shlex
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trioserver import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_importing: list[str] = []
"""The modules that `load` imports just now."""

FIXED_HASH_SEED = "0"
"""The ``PYTHONHASHSEED`` of the processes that are started here, unless the environment has one."""


def hash_seed() -> str | None:
    """The ``PYTHONHASHSEED`` that the environment sets; None where each process has a random one."""
    value = os.environ.get("PYTHONHASHSEED", "")
    return value if value.isdecimal() else None


def check_may_start_processes() -> None:
    """Raise ConfigError in the middle of an import by `load`.

    A script that explores when it is imported would do so in each of its processes, which import it, too:
    each would start others, without end. `multiprocessing` has the same rule.
    """
    if _importing:
        raise ConfigError(
            f"{_importing[-1]!r} starts processes when it is imported, and each of them imports it: "
            'put the call of explore() or check_determinism() under: if __name__ == "__main__":'
        )


def name_of(function: Callable[..., Any]) -> str | None:
    """What :func:`load` finds ``function`` by; None for a lambda, a local function and the like.

    That is ``package.module:function`` where another process can import the module by its name, else
    ``folder/file.py:function``, from the current folder: a script, or a module of tests.
    """
    path = getattr(function, "__qualname__", "<")
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    if module is None or "<" in path or _look_up(module, path) is not function:
        return None
    # The name of what `python -m` runs is in its spec; a script has none.
    name = module.__name__ if module.__spec__ is None else module.__spec__.name
    file = getattr(module, "__file__", None)
    if file is None:
        return None
    if _is_importable(name, file):
        return f"{name}:{path}"
    file = os.path.abspath(file)
    here = os.getcwd() + os.sep
    return f"{file.removeprefix(here)}:{path}" if os.path.isfile(file) else None


def _look_up(module: ModuleType, path: str) -> Any:
    found: Any = module
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def _is_importable(name: str, file: str) -> bool:
    """Whether a process that has our ``sys.path`` finds this file by this name."""
    locations = None
    spec = None
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        for finder in sys.meta_path:
            spec = finder.find_spec(".".join(parts[:end]), locations)
            if spec is not None:
                break
        if spec is None:
            return False
        locations = spec.submodule_search_locations
    return spec is not None and spec.origin is not None and os.path.samefile(spec.origin, file)


def load(name: str) -> Callable[..., Any]:
    """The async function called ``package.module:function`` or ``folder/file.py:function``.

    Raises:
      ConfigError: There is no such thing, importing it fails, or it is no async function.
    """
    module_name, colon, path = name.rpartition(":")
    if not colon or not module_name or not path:
        raise ConfigError(f"the function must be given as package.module:function, not {name!r}")
    _importing.append(module_name)
    try:
        module = (
            _import_file(module_name) if module_name.endswith(".py") else importlib.import_module(module_name)
        )
    except ConfigError:
        raise
    except SystemExit as error:
        raise ConfigError(f"importing {module_name!r} failed: it called sys.exit()") from error
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name + ".").startswith(error.name + "."):
            raise ConfigError(f"there is no module {module_name!r}") from error
        raise ConfigError(f"importing {module_name!r} failed: {error}") from error
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__} at {where.filename}:{where.lineno}: {error}"
        raise ConfigError(f"importing {module_name!r} failed: {what}") from error
    finally:
        _importing.pop()
    function = _look_up(module, path)
    if function is None:
        raise ConfigError(f"module {module_name!r} has no {path!r}")
    if not is_async_function(function):
        raise ConfigError(f"{name} is not an async function")
    found: Callable[..., Any] = function
    return found


def is_async_function(function: object) -> bool:
    """Whether it can be awaited when it is called, as far as can be seen without calling it."""
    call = getattr(type(function), "__call__", None)  # noqa: B004  (of its type, an object's own is not called)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _import_file(text: str) -> ModuleType:
    """Import a file that is in no package, with its folder first in the path: as if it was run."""
    file = Path(text).resolve()
    if not file.is_file():
        raise ConfigError(f"there is no file {text!r}")
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    name = file.stem
    known = sys.modules.get(name)
    if known is not None:
        if getattr(known, "__file__", None) == str(file):
            return known
        name = f"{name}_to_replay"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def replay_command(name: str, seed: int) -> str:
    """The command that runs a function by itself, with a seed."""
    command = f"python -m trioserver.testing replay {shlex.quote(name)} --seed {seed}"
    own = hash_seed()
    return command if own in {None, FIXED_HASH_SEED} else f"PYTHONHASHSEED={own} {command}"


def replay_hint(function: Callable[..., Any], args: tuple[object, ...], seed: int) -> str:
    """How to run the same again: the command, or where no command can, the call."""
    name = name_of(function)
    if name is not None and not args:
        return f"replay it with: {replay_command(name, seed)}"
    called = getattr(function, "__qualname__", None) or repr(function)
    more = ", ..." if args else ""
    return f"replay it with: trioserver.testing.run({called}{more}, seed={seed})"
