"""The servers that stay up from one workload to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from benchmarks.server import Server

if TYPE_CHECKING:
    from benchmarks.machine import Cpus
    from benchmarks.server import Mode


class Standing:
    """Starts each server when it is first needed, and ends them all.

    A server without clients costs nothing, so all of them stay up beside the measured one.
    """

    def __init__(self, cpus: Cpus) -> None:
        self._cpus = cpus
        self._servers: dict[tuple[str, Mode], Server] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers.values():
            server.stop()
        self._servers.clear()

    def start(self, name: str, mode: Mode) -> Server:
        """A server of its own, for the caller to stop."""
        # Of several processes each is to find a CPU of its own.
        return Server(name, mode, cpu=None if mode == "work" else self._cpus.server)

    def get(self, name: str, mode: Mode) -> Server:
        """The one that stays."""
        if (name, mode) not in self._servers:
            self._servers[name, mode] = self.start(name, mode)
        return self._servers[name, mode]

    def discard(self, name: str) -> None:
        """End the server called *name* in each of its modes: it has failed."""
        for key in [key for key in self._servers if key[0] == name]:
            self._servers.pop(key).stop()
