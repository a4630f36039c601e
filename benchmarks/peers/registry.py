"""What a server under measurement is told, what it has to print, and the list of all of them."""

from __future__ import annotations

import importlib.util
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "127.0.0.1"
BACKLOG = 4096  # what Linux allows by default (net.core.somaxconn); a burst of 2,000 must fit
CHUNK = 65536
LIFETIME = 3600  # seconds; no harness that dies leaves a server behind for longer


class Job:
    """What the harness asked for, and the lines that it waits for."""

    def __init__(self, port: int, mode: str) -> None:
        self.port = port
        self.mode = mode
        self._stopping = 0.0

    def ready(self, port: int) -> None:
        print(f"READY {port}", flush=True)

    def stopping(self) -> None:
        self._stopping = time.perf_counter()

    def stopped(self) -> None:
        print(f"SHUTDOWN {(time.perf_counter() - self._stopping) * 1e3:.2f}", flush=True)


@dataclass(frozen=True)
class Peer:
    """A server that can be measured.

    Attributes:
      serve: Serves until SIGTERM.
      modes: What it can be asked for.
      modules: What has to be installed.
      programs: What has to be on the path.
    """

    serve: Callable[[Job], None]
    modes: tuple[str, ...]
    modules: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()

    def missing(self, mode: str) -> list[str]:
        """What it needs for *mode* and this machine lacks."""
        needed = (*self.modules, *(("trustme",) if mode == "tls" else ()))  # for the certificate
        modules = [name for name in needed if importlib.util.find_spec(name) is None]
        return modules + [name for name in self.programs if shutil.which(name) is None]

    @property
    def about(self) -> str:
        """The first line of its docstring."""
        return (self.serve.__doc__ or "").partition("\n")[0]


PEERS: dict[str, Peer] = {}


def peer(
    *modes: str, modules: tuple[str, ...] = (), programs: tuple[str, ...] = ()
) -> Callable[[Callable[[Job], None]], Callable[[Job], None]]:
    """Enter a function into `PEERS`, by its name."""

    def enter(serve: Callable[[Job], None]) -> Callable[[Job], None]:
        PEERS[serve.__name__] = Peer(serve, modes, modules, programs)
        return serve

    return enter
