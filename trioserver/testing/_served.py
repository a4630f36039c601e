"""What the fixture ``serve`` is: it starts servers, and at the end of a test sees what became of them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from trioserver import (
    BaseServer,
    ConfigError,
    Outcome,
    RequestAccepted,
    RequestEnded,
    RequestStream,
    State,
    UnixDatagramServer,
    UnixStreamServer,
)

from ._handler_errors import HandlerErrors

if TYPE_CHECKING:
    from collections.abc import Iterator

    import trio

    from trioserver import ServerEvent, ShutdownReport

    from ._hosts import Host
    from ._network import Network


class Serve:
    """Starts servers on the network of a test; the fixture ``serve`` is one of these.

    ::

        server = await serve(trioserver.TCPServer, Handler)
        server = await serve(trioserver.TCPServer, ("10.0.0.1", 80), Handler, max_requests=10)
        server = await serve(MyServer(...), host="server")

    At the end of the test each server is shut down, the last one first. The test fails if a handler has
    raised, or if a server has not kept what it promises: no request left and every connection closed (P1),
    and every request accounted for (P3).

    When its host crashes a server is stopped by that, and a restart does not start it again: see `Host.run`.
    Nothing that it does from then on fails the test.

    Args:
      network: Where they serve.
      nursery: Whose tasks they are.
    """

    def __init__(self, network: Network, nursery: trio.Nursery) -> None:
        self._network = network
        self._nursery = nursery
        self._served: list[_Served] = []

    async def __call__(
        self,
        server: Any,
        *arguments: Any,
        host: str | None = None,
        grace_period: float | None = 1.0,
        expected_errors: type[Exception] | tuple[type[Exception], ...] = (),
        **options: Any,
    ) -> Any:
        """Start a server; returns it once it listens.

        Args:
          server: A server that is not being served, or the class of one.
          arguments: For a class: its address and its handler, or its handler alone. The address is by default
            a free port of the host's first address, or a path.
          host: The name of the host to serve on, by default the one in whose block this is called.
          grace_period: Seconds that requests may still take at the end of the test; 1, which is virtual,
            enough for those that have all they need. ``None`` is no bound.
          expected_errors: Exceptions that do not fail the test when handlers raise them. They are in `errors`
            all the same. What is the client's doing, see ``trioserver.is_peers_doing``, never does.
          options: For a class: the server's options.

        Raises:
          ConfigError: An argument is not usable.
          OSError: The address can not be bound.

        Cancellation: the server does not start.
        """
        with self._network.host(host) if host is not None else contextlib.nullcontext():
            if isinstance(server, type) and issubclass(server, BaseServer):
                server = self._make(server, arguments, options)
            elif not isinstance(server, BaseServer):
                raise ConfigError(
                    f"server must be a server of trioserver, or the class of one, not {server!r}"
                )
            elif arguments or options:
                raise ConfigError("arguments and options are for a class; this is a server already")
            current = self._network.current_host
            served = _Served(server, current, grace_period, expected_errors)
            self._network.watch(server)
            await self._nursery.start(current.run_once, server.serve_forever)
            self._served.append(served)
        return server

    def _make(self, server_class: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if len(arguments) != 1:
            return server_class(*arguments, **options)
        address: Any
        if issubclass(server_class, (UnixStreamServer, UnixDatagramServer)):
            address = f"/run/{server_class.__name__}-{len(self._served) + 1}"
        else:
            host = self._network.current_host
            address = (host.addresses[0] if host.addresses else "127.0.0.1", 0)
        return server_class(address, *arguments, **options)

    @property
    def errors(self) -> list[Exception]:
        """What handlers have raised so far, expected or not, for each server in turn."""
        return [error for served in self._served for error in served.errors.errors]

    async def stop(self) -> Exception | None:
        """Stop all servers, and look at what became of them; the fixture does that at the end of the test.

        Returns:
          What a handler raised, as it is; an ``AssertionError`` for a promise that was not kept; several
          problems as an ``ExceptionGroup``. ``None`` when all is well.

        Cancellation: the servers that are not stopped by then go on.
        """
        problems: list[Exception] = []
        for served in reversed(self._served):
            report = None if served.crashed() else await served.server.shutdown(served.grace_period)
            problems += served.problems(report)
        if len(problems) > 1:
            return ExceptionGroup("the servers of this test", problems)
        return problems[0] if problems else None


class _Served:
    """One server, what it told, and what its handlers raised."""

    def __init__(
        self, server: BaseServer[Any], host: Host, grace_period: float | None, expected: Any
    ) -> None:
        self.server = server
        self._host = host
        self._crashes = host.crashes
        self.grace_period = grace_period
        self.errors = HandlerErrors(server, self.crashed)
        self._expected = expected
        self._before = server.statistics()
        self._accepted = 0
        self._ended = dict.fromkeys(Outcome, 0)
        self._streams: dict[int, RequestStream] = {}
        server.add_observer(self._observe)

    def _observe(self, event: ServerEvent) -> None:
        if isinstance(event, RequestAccepted):
            self._accepted += 1
            request = self.server.requests[-1:]
            if request and isinstance(request[0].request, RequestStream):
                self._streams[event.request_id] = request[0].request
        elif isinstance(event, RequestEnded):
            self._ended[event.outcome] += 1
            # One that is not closed when its request has ended stays, to be found at the end.
            if (stream := self._streams.get(event.request_id)) is not None and stream.closed:
                del self._streams[event.request_id]

    def crashed(self) -> bool:
        """Whether its host has crashed since: what a dead machine does is not looked at."""
        return self._host.crashes != self._crashes

    def problems(self, report: ShutdownReport | None) -> list[Exception]:
        """What a test fails of. There is no report after a crash."""
        found: list[Exception] = []
        if report is not None and not self.crashed():
            found += [AssertionError(text) for text in self._broken_promises(report)]
        if (failure := self.errors.failure(expected=self._expected)) is not None:
            found.append(failure)
        return found

    def _broken_promises(self, report: ShutdownReport) -> Iterator[str]:
        server = self.server
        if server.requests or server.state not in (State.STOPPED, State.CLOSED):
            yield f"P1: {server!r} was shut down, and still has {len(server.requests)} requests"
        for id, stream in self._streams.items():
            if not stream.closed:
                yield f"P1: {server!r} was shut down, and the connection of request {id} is open"
        ended = {outcome.value: count for outcome, count in self._ended.items()}
        totals = server.statistics()
        counted = {name: getattr(totals, name) - getattr(self._before, name) for name in ended}
        accepted = totals.accepted - self._before.accepted
        if not accepted == self._accepted == sum(ended.values()) or counted != ended:
            yield (
                f"P3: {server!r} has accepted {accepted} requests and counts {counted}; "
                f"its events say {self._accepted} and {ended}"
            )
        if report.accepted != report.finished + report.failed + report.cancelled + report.rejected:
            yield f"P3: the report of {server!r} does not add up: {report}"
