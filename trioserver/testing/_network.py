"""The simulated network as a test sees it."""

from __future__ import annotations

import socket
import traceback
from typing import TYPE_CHECKING

import trio

from trioserver import LifecycleError

from ._dns import DNS
from ._faults import Faults
from ._links import LinkOptions
from ._resolver import Resolver
from ._sockets import SimulatedSocket
from ._watch import Watchable, watch

if TYPE_CHECKING:
    from types import TracebackType

    from ._latency import Latency


class _SocketFactory(trio.abc.SocketFactory):
    """What ``trio.socket.socket`` calls."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def socket(
        self, family: int = socket.AF_INET, type: int = socket.SOCK_STREAM, proto: int = 0
    ) -> trio.socket.SocketType:
        """A socket of the current host."""
        return SimulatedSocket(self.network, self.network.current_host, family, type, proto)


def network_in_use() -> Network | None:
    """The network that ``trio.socket.socket`` makes sockets of just now."""
    factory = trio.socket.set_custom_socket_factory(None)  # there is no other way to ask for it
    trio.socket.set_custom_socket_factory(factory)
    return factory.network if isinstance(factory, _SocketFactory) else None


class Network(Faults):
    """A network of hosts in memory, on which unchanged trio programs run.

    In a ``with`` block of it, in a running trio program, every ``trio.socket.socket()`` is a socket of this
    network, and so is all that is built on them: ``trio.open_tcp_stream``, ``trio.serve_tcp``, the servers of
    trioserver and so on. With a ``trio.testing.MockClock(autojump_threshold=0)`` time passes as fast as the
    program computes.

    Args:
      seed: A whole number that all chance comes from. Default None: another one each time; it is in
        ``network.seed``.
      latency: Seconds that a packet is under way from one host to another: a number, or what draws one for
        each packet: `uniform`, `exponential`, `normal`, or a function of yours that gets ``network.random``.
        Default 1 ms, about what it takes inside of a data centre. Packets do not overtake each other
        because of it.
      bandwidth: Bytes a second that a link carries, headers not counted; what comes faster queues up.
        Default None: no bound.
      loss: The probability that a packet is lost. Default 0, as for the next two.
      duplication: The probability that a packet which is not lost arrives twice.
      reordering: The probability that a packet stays behind, for another one to three times the time that it
        would have taken, so that later ones overtake it.
      log_packets: Whether each packet is an event in ``network.log``. Default True. False for runs of
        millions of packets, where it costs half a kilobyte each.

    The options are those of all links, in both directions, that `link` does not set. From a host to itself
    there is neither latency nor loss.

    Raises:
      ConfigError: An option is not usable.
    """

    def __init__(
        self,
        seed: int | None = None,
        *,
        latency: Latency = 0.001,
        bandwidth: float | None = None,
        loss: float = 0.0,
        duplication: float = 0.0,
        reordering: float = 0.0,
        log_packets: bool = True,
    ) -> None:
        options = LinkOptions(
            latency=latency, bandwidth=bandwidth, loss=loss, duplication=duplication, reordering=reordering
        )
        super().__init__(seed, options, log_packets=log_packets)
        self.dns: DNS = DNS(self)
        self._pump: trio.CancelScope | None = None
        self._before: tuple[trio.abc.SocketFactory | None, trio.abc.HostnameResolver | None] | None = None

    def __repr__(self) -> str:
        return f"<Network with seed {self.seed} and {len(self.hosts)} hosts>"

    def __enter__(self) -> Network:
        """Install the network for the running trio program.

        Raises:
          LifecycleError: Outside of ``trio.run``, or a second time.
        """
        if self._pump is not None:
            raise LifecycleError(
                "a Network is entered once: make another one, with the same seed for the same run"
            )
        try:
            self.wire.started = trio.current_time()
        except RuntimeError:
            raise LifecycleError(
                "a Network is entered inside of trio.run(), where its sockets are used"
            ) from None
        self._pump = trio.CancelScope()
        trio.lowlevel.spawn_system_task(self._carry, self._pump, name="the wire of a simulated network")
        self._before = (
            trio.socket.set_custom_socket_factory(_SocketFactory(self)),
            trio.socket.set_custom_hostname_resolver(Resolver(self, self.dns)),
        )
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        exc_traceback: TracebackType | None,
    ) -> None:
        """Put back what was installed before; sockets that are open are gone."""
        assert self._pump is not None
        assert self._before is not None
        factory, resolver = self._before
        trio.socket.set_custom_socket_factory(factory)
        trio.socket.set_custom_hostname_resolver(resolver)
        for host in self.hosts.values():
            host.vanish()
        self.wire.ended = trio.current_time()
        self._pump.cancel()
        failure, self._failure = self._failure, None
        if failure is None:
            return
        if exc is None or isinstance(exc, trio.Cancelled):  # which a timeout around the block would swallow
            raise failure
        # The other may well be a consequence of this one, or hold a cancellation.
        text = "".join(traceback.format_exception(failure))
        exc.add_note(f"Before that, in the simulated network:\n{text}")

    def watch(self, server: Watchable) -> None:
        """Put the events of a server into the log, as events of the current host."""
        watch(server, self.current_host, self.log)

    async def _carry(self, scope: trio.CancelScope) -> None:
        """The task in which packets arrive."""
        with scope:
            await self.wire.run()
