"""Put ``trioserver_adapters.socketserver`` in the place of the standard library's module.

A program that starts with these two lines needs no other change::

    from trioserver_adapters.replace import replace_socketserver
    replace_socketserver()

From then on ``import socketserver`` finds our module, and ``http.server``, ``xmlrpc.server``, ``wsgiref``,
``logging.config.listen`` and third-party servers are built on it. ``python -m trioserver_adapters`` does the
same to a program that is not to be touched at all.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from . import socketserver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

NAME = "socketserver"
OURS = {"trioserver", "trioserver_adapters"}


def replace_socketserver() -> None:
    """Make ``import socketserver`` find our module, everywhere in this process.

    Nothing may have made use of the standard library's module before: a class that has been derived from one
    of its servers can not be given another base, and half a program on either module helps nobody. Calling it
    twice is fine.

    From then on our classes say that they are ``socketserver``'s. That is what messages, ``repr`` and
    pickling by name go by, and it names the place where they are found now.

    Processes: a forked child keeps the replacement. One that ``multiprocessing`` starts with "spawn" or
    "forkserver" is a new interpreter, which ``python -m trioserver_adapters`` does not reach: there
    ``import socketserver`` finds the standard library's module. Such a child imports the program's main
    module before anything else of the program, so the two lines at the top of that module, and not under ``if
    __name__ == "__main__"``, replace it in the children as well.

    Raises:
      RuntimeError: A module has already taken the standard library's module, or one of its classes, and would
        keep it.
        The message names all of them.
    """
    present = sys.modules.get(NAME)
    if present is socketserver:
        return
    if present is not None and (holders := sorted(holders_of(present))):
        raise RuntimeError(
            f"too late to replace {NAME}: the standard library's is in use by {', '.join(holders)}; "
            f"replace_socketserver() has to be called before these are imported"
        )
    for name in socketserver.__all__:
        value = getattr(socketserver, name)
        if isinstance(value, type) and value.__module__.partition(".")[0] in OURS:
            value.__module__ = NAME
    sys.modules[NAME] = socketserver


def holders_of(module: ModuleType) -> Iterator[str]:
    """The modules that have ``module`` among their globals, or a class of it, or what was made from one."""
    classes = {id(value) for value in vars(module).values() if is_class(value) and value.__module__ == NAME}
    for name, user in list(sys.modules.items()):
        if user is module or name.partition(".")[0] in OURS:
            continue
        for value in list(getattr(user, "__dict__", {}).values()):
            kind = value if is_class(value) else type(value)
            if value is module or any(id(base) in classes for base in kind.__mro__):
                yield name
                break


def is_class(value: object) -> bool:
    """Whether it is a class; unlike ``isinstance`` this never wakes up a lazy proxy that poses as one."""
    return issubclass(type(value), type)
