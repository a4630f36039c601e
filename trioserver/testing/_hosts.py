"""Hosts: names, addresses, descriptors, programs that a crash stops and a restart runs again."""

from __future__ import annotations

import contextvars
import errno
import os
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from trioserver import LifecycleError

from ._checks import check_count, check_rate
from ._programs import Programs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from types import TracebackType

    import trio

    from ._links import Link
    from ._log import EventLog

ResultT = TypeVar("ResultT")

_entered: Final[contextvars.ContextVar[tuple[Host, ...]]] = contextvars.ContextVar(
    "hosts entered", default=()
)


class HostedSocket(Protocol):
    """What a host knows of its sockets."""

    def vanish(self) -> None:
        """Be gone, without a word to any peer; who waits for it gets ``trio.ClosedResourceError``."""


class Host:
    """A machine on the network. Made by `Network.host`.

    In a ``with`` block of it, sockets belong to it, those too that tasks make which were started there.

    Attributes:
      name: Under which others find it.
      addresses: Its IP addresses; 127.0.0.1 and ::1, which every host has for itself, are not among them.
      up: False from a `crash` to the `restart`.
      crashes: How often it has crashed.
    """

    __slots__ = (
        "__weakref__",
        "_cut_off",
        "_fds",
        "_log",
        "_max_fds",
        "_programs",
        "_read_rate",
        "addresses",
        "crashes",
        "links",
        "name",
        "sockets",
        "tcp",
        "udp",
        "unix",
        "up",
    )  # so that a fault whose name is misspelt is an AttributeError

    def __init__(
        self,
        name: str,
        addresses: list[str],
        log: EventLog,
        fds: Iterator[int],
        cut_off: Callable[[Host], int],
    ) -> None:
        self.name: str = name
        self.addresses: list[str] = addresses
        self.up: bool = True
        self.crashes: int = 0
        # For the sockets, each part of which knows what it keeps there. All of it is gone after a crash.
        self.tcp: dict[Any, Any] = {}
        self.udp: dict[Any, Any] = {}
        self.unix: dict[Any, Any] = {}
        self.sockets: dict[int, HostedSocket] = {}
        self.links: dict[Host, Link] = {}  # to other hosts, and to itself
        self._log = log
        self._fds = fds
        self._cut_off = cut_off
        self._max_fds: int | None = None
        self._read_rate: float | None = None
        self._programs = Programs(self._died)

    def __repr__(self) -> str:
        return f"<Host {self.name} {' '.join(self.addresses)}{'' if self.up else ' down'}>"

    def __enter__(self) -> Host:
        """Be the host of what is done in the block, by this task and by those that are started in it."""
        # A stack in the context, not here: several tasks may be in a block of the same host.
        _entered.set((*_entered.get(), self))
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the block.

        Raises:
          LifecycleError: Another host's block, which was entered in this one, is not over. Where the block
            raises, that comes out, and not this.
        """
        entered = _entered.get()
        if entered and entered[-1] is self:
            _entered.set(entered[:-1])
            return
        last = max((place for place, host in enumerate(entered) if host is self), default=None)
        if last is not None:
            _entered.set(entered[:last] + entered[last + 1 :])
        if exc is None:
            current = f"that of {entered[-1].name!r} is the innermost" if entered else "it was not entered"
            raise LifecycleError(
                f"the block of host {self.name!r} ends, and here {current}: blocks of hosts must be nested. "
                "Fixtures share them: do not yield in such a block, use Client.connect(..., host=...)"
            )

    @property
    def max_fds(self) -> int | None:
        """How many sockets may be open on this host at once; more is ``EMFILE``. Default None: no bound.

        Lowering it closes nothing.
        """
        return self._max_fds

    @max_fds.setter
    def max_fds(self, count: int | None) -> None:
        check_count("max_fds", count, none="no bound")
        self._max_fds = count
        self._log.add(self.name, "fault", f"max_fds is {count}", max_fds=count)

    @property
    def read_rate(self) -> float | None:
        """How many bytes a second each TCP socket of this host takes in: a slow reader. Default None: all."""
        return self._read_rate

    @read_rate.setter
    def read_rate(self, rate: float | None) -> None:
        check_rate("read_rate", rate)
        self._read_rate = rate
        text = "no bound" if rate is None else f"{rate:g} bytes/s"
        self._log.add(self.name, "fault", f"read_rate is {text}", read_rate=rate)

    def owns(self, address: str) -> bool:
        """Whether packets to this address stay on this host: its own, 127.0.0.0/8 and ::1."""
        return address in self.addresses or address.startswith("127.") or address == "::1"

    def new_fd(self, sock: HostedSocket) -> int:
        """A number for a socket that is opened; ``OSError`` with ``EMFILE`` when there are too many."""
        if self._max_fds is not None and len(self.sockets) >= self._max_fds:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        if not self.up:
            raise OSError(errno.ENETDOWN, os.strerror(errno.ENETDOWN))
        fd = next(self._fds)
        self.sockets[fd] = sock
        return fd

    def drop_fd(self, fd: int) -> None:
        """A socket was closed. Twice is fine."""
        self.sockets.pop(fd, None)

    def crash(self) -> None:
        """Fail as a machine does that loses power: no FIN, no RST, nothing is heard of it any more.

        Its sockets are gone: who uses one gets ``trio.ClosedResourceError`` or ``OSError``. What `run` runs
        is cancelled. Packets that are under way to it, and those sent to it, are lost. Does nothing when it
        is down already.
        """
        if not self.up:
            return
        self.up = False
        self.crashes += 1
        lost = self._cut_off(self)
        # Programs first: a task that waits for a socket is then cancelled where it is, and does not go on to
        # handle, or to log, the loss of its socket as if it had survived.
        self._programs.stop()
        sockets = self.vanish()
        self._log.add(
            self.name,
            "fault",
            f"crashes with {_count(sockets, 'socket')}; {_count(lost, 'packet')} under way to it lost",
            fault="crash",
            sockets=sockets,
            packets=lost,
        )

    def restart(self) -> None:
        """Come up again without a memory of any connection, and run anew what `run` ran.

        A host that is up crashes first.
        """
        self.crash()
        self.up = True
        self._log.add(self.name, "fault", "restarts", fault="restart")
        self._programs.go()

    async def run(
        self,
        async_fn: Callable[..., Awaitable[ResultT]],
        *args: Any,
        task_status: trio.TaskStatus[Any] | None = None,
    ) -> ResultT:
        """Run ``async_fn(*args)`` on this host: a crash cancels it, a restart runs it again.

        ``await nursery.start(host.run, server.serve_forever)`` works, too: ``task_status`` is then passed on,
        and what is started after a restart starts unheard.

        Returns:
          What it returns. While the host is down, this waits for the restart.

        Raises:
          Exception: What it raises, unless the host has crashed: what a dying program raises is in the event
            log only.
        """
        with self:
            return await self._programs.run(async_fn, args, task_status)

    async def run_once(
        self, async_fn: Callable[..., Awaitable[object]], *args: Any, task_status: trio.TaskStatus[Any]
    ) -> None:
        """Run ``async_fn(*args, task_status=...)`` as `run` does, but not again after a crash."""
        with self:
            await self._programs.once(async_fn, args, {"task_status": task_status})

    def _died(self, error: Exception) -> None:
        self._log.add(
            self.name, "host", f"a program dies with {type(error).__name__}", error=type(error).__name__
        )

    def vanish(self) -> int:
        """Forget all sockets, and tell each; returns how many they were."""
        sockets = list(self.sockets.values())
        self.sockets.clear()
        for sock in sockets:
            sock.vanish()
        for table in (self.tcp, self.udp, self.unix):
            table.clear()
        return len(sockets)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def hosts_entered() -> tuple[Host, ...]:
    """The hosts in whose blocks the caller is, the innermost last, of whatever network."""
    return _entered.get()
