"""One run: the server on its host, served once or more, and what must be true whenever that ends."""

from __future__ import annotations

import errno
import math
from typing import TYPE_CHECKING, Any

import trio
import trio.testing

from .ledger import EPSILON
from .servers import PATH, PORT, make_server

if TYPE_CHECKING:
    import random

    from trioserver.testing import Host, Network

    from .journal import Journal
    from .ledger import Ledger
    from .plan import Plan


class World:
    """What clients, faults and endings act upon.

    Attributes:
      stopping: Whether the server is not to be served again in this round, even after a restart.
      ended: Set when the program on the server's host has ended.
      run_ended: Set when serving has, for now at least.
      scope: The scope in which the server is served.
      own_sockets: Those on the server's host that belong to clients.
      datagrams: What clients have sent, by their addresses.
    """

    def __init__(self, network: Network, plan: Plan, dice: random.Random) -> None:
        self.network = network
        self.plan = plan
        self.dice = dice
        self.failure = trio.CancelScope()
        self.host: Host = network.host("server")
        names = ["server"] if plan.on_one_host else ["client1", "client2", "client3"]
        self.client_hosts = [network.host(name) for name in names]
        self.server: Any = make_server(plan, dice, self.failure.cancel)
        self.ledger: Ledger = self.server.ledger
        self.journal: Journal = self.ledger.journal
        with self.host:
            network.watch(self.server)
        self.stopping = False
        self.ended = trio.Event()
        self.run_ended = trio.Event()
        self.run_ended.set()
        self.scope = trio.CancelScope()
        self.own_sockets: dict[int, Any] = {}
        self.datagrams: dict[Any, list[bytes]] = {}

    @property
    def address(self) -> Any:
        """Where clients connect to."""
        return PATH if self.plan.on_one_host else (self.host.addresses[0], PORT)

    # Serving.

    async def program(self, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
        """What runs on the server's host for one round, and again after each restart."""
        with trio.CancelScope() as self.scope:
            try:
                await self._serve(task_status)
            except trio.Cancelled:
                raise
            except BaseException as error:  # judged in `_one_run`; a fatal one is what was wanted
                expected = self.stopping or self.ledger.fatal or self.ledger.crashed
                if not expected and not _no_descriptor(error):  # a restart in the midst of an exhaustion
                    raise
        task_status.started()
        if self.host.up:
            self.ended.set()

    async def _serve(self, task_status: trio.TaskStatus[Any]) -> None:
        server = self.server
        if self.stopping:
            return
        if self.plan.serving == "entered":
            async with server:
                await self._one_run(server.serve_forever, task_status=task_status)
            self._check_sockets()
        elif self.plan.serving == "one by one":
            task_status.started()
            while not self.stopping:
                await self._one_run(server.handle_request)
                await trio.lowlevel.checkpoint()
        else:
            await self._one_run(server.serve_forever, task_status=task_status)

    async def _one_run(self, serve: Any, **options: Any) -> None:
        ledger = self.ledger
        ledger.begin_run()
        self.run_ended = trio.Event()
        error: BaseException | None = None
        try:
            await serve(**options)
        except BaseException as exc:
            error = exc
            raise
        finally:
            self._check_ended(error)
            del error

    def _check_ended(self, error: BaseException | None) -> None:
        """What must be true at the very moment at which serving has ended."""
        ledger, now = self.ledger, trio.current_time()
        ledger.running = False
        self.run_ended.set()
        self.check_nothing_runs("serving has ended")
        if ledger.drained_at is not None or ledger.hard_deadline < math.inf:
            late = now - ledger.hard_deadline - self.plan.finish_timeout
            ledger.check(late < EPSILON, "P5", f"serving ended {late:g} s too late")
            since = ledger.drained_at if ledger.drained_at is not None else now
            late = now - max(ledger.last_end, since)
            ledger.check(late < EPSILON, "P5", f"serving ended {late:g} s after its last request")
        elif self.plan.serving != "one by one":
            ledger.check(error is not None, "P5", "serving ended, and nobody had asked for it")
        self._check_error(error)
        if self.plan.serving != "entered" and not self.plan.on_one_host:
            self._check_sockets()

    def _check_error(self, error: BaseException | None) -> None:
        """What stopped the server is raised, bare, and nothing else (P4)."""
        fatal = self.ledger.fatal
        if fatal:
            parts = list(error.exceptions) if isinstance(error, BaseExceptionGroup) else [error]
            same = len(parts) == len(fatal) and all(any(part is one for one in fatal) for part in parts)
            self.ledger.check(same and (len(fatal) > 1) == (error is not parts[0]), "P4", f"raised {error!r}")
        elif error is None or isinstance(error, trio.Cancelled):
            cancelled = error is not None
            expected = self.scope.cancel_called or self.ledger.crashed or self.failure.cancel_called
            self.ledger.check(expected or not cancelled, "P4", "cancelled, and nobody did")
        else:
            # What a machine that loses its power does to the program that runs there; or no socket to be had.
            allowed = self.ledger.crashed or (_no_descriptor(error) and not self.ledger.started)
            self.ledger.check(allowed, "P4", f"serving raised {error!r}")

    async def forestall(self) -> None:
        """Ask for the end before there was a beginning: serving returns at once (P5)."""
        self.server.request_shutdown(None)
        self.ledger.begin_run()
        with trio.move_on_after(1) as patience, self.host:
            await self.server.serve_forever()
        self.ledger.running = False
        accepted = self.ledger.accepting.taken
        self.ledger.check(not patience.cancelled_caught, "P5", "a shutdown before serving was lost")
        self.ledger.check(not accepted, "P5", f"{accepted} requests after a shutdown before serving")

    def check_nothing_runs(self, when: str) -> None:
        """No handler, no request, no connection is left (P1)."""
        ledger, server = self.ledger, self.server
        left = self.journal.still_running()
        ledger.check(not left, "P1", f"{when}, and handlers run: {left}")
        ledger.check(not server.requests, "P1", f"{when}, and there are requests: {server.requests}")
        ledger.check(not ledger.open, "P3", f"{when}, and requests have not ended: {list(ledger.open)}")
        for number, stream in ledger.streams.items():
            ledger.check(stream.closed, "P1", f"{when}, and the connection of request {number} is open")

    def _check_sockets(self) -> None:
        """The host has no socket of the server's (P1, P2)."""
        left = {fd: sock for fd, sock in self.host.sockets.items() if fd not in self.own_sockets}
        promise = "P1" if all(fd in self.ledger.known_fds for fd in left) else "P2"
        self.ledger.check(not left, promise, f"the server has ended, and has sockets: {left}")

    # While it is served.

    async def inspect(self) -> None:
        """Whether a request waits though there is room for it, with all at rest (P6, P7)."""
        await trio.testing.wait_all_tasks_blocked()
        server, accepting = self.server, self.ledger.accepting
        if not self.ledger.running or self.stopping or not self.host.up or server.state.value != "serving":
            return
        limit = None if self.plan.kind == "sessions" else server.max_requests
        full = limit is not None and len(server.requests) >= limit
        if full or accepting.waiting or (self.plan.serving == "one by one" and accepting.taken_in_run):
            return
        if any(sock.is_readable() for sock in server.sockets):
            self.ledger.violated("P6", f"a request waits, and {len(server.requests)} of {limit} are there")

    def crash(self) -> None:
        """Let the server's host lose its power; whatever runs there is cancelled."""
        if self.host.up:
            self.ledger.crashed = True
            self.ledger.stop_asked(0.0)
            self.host.crash()

    def repair(self) -> None:
        """End what faults have left behind when they were cancelled."""
        network = self.network
        network.repair()
        network.release()
        self.host.max_fds = None
        self.ledger.accepting.storm.clear()
        for host in network.hosts.values():
            host.read_rate = None
            if not host.up:
                host.restart()


def _no_descriptor(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EMFILE
