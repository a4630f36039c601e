"""The servers: every native class, with hooks that write down what happens."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import trio

import trioserver

from .accepting import EXHAUSTED
from .certificate import server_context
from .datagram_handlers import IN_PLACE, PER_DATAGRAM, SESSIONS, UpperInPlace
from .ledger import Ledger
from .stream_handlers import STREAMS

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from .plan import Plan

PORT = 4000
PATH = "/run/server"


class Fatal(BaseException):
    """What stops a server: the kind of exception that is nobody's error."""


class Watched(trioserver.BaseServer[Any]):
    """The hooks that the scenario writes down; mixed into each server class.

    Attributes:
      ledger: Where.
      wish: What the next handler that looks is to do to its server.
      choice: Which handler each request gets, where they are mixed.
    """

    ledger: Ledger
    wish: tuple[str, float | None] | None = None
    break_next_report = False

    async def get_request(self) -> tuple[Any, Any]:
        """Accept, or fail as the storm says."""
        accepting = self.ledger.accepting
        accepting.asked()
        if accepting.storm:
            number = accepting.storm.pop(0)
            if number in EXHAUSTED or len(accepting.storm) % 2:
                await trio.lowlevel.checkpoint()
            error = OSError(number, "a storm")
            accepting.failed(error)
            raise error
        try:
            request, client_address = await super().get_request()
        except OSError as error:
            accepting.failed(error)
            raise
        accepting.took()
        return request, client_address

    async def handle_error(self, request: Any, client_address: Any) -> None:
        """Count it; raise where that was wished."""
        record = self.current_request()
        if record is not None:
            self.ledger.handled[record.id] = self.ledger.handled.get(record.id, 0) + 1
        if isinstance(sys.exception(), NotImplementedError):
            raise self.stop(RuntimeError("handle_error was told to raise"))

    def stop(self, error: BaseException) -> BaseException:
        """What is about to be raised to stop the server."""
        self.ledger.stop_asked(0.0)
        self.ledger.fatal.append(error)
        return error

    def request_shutdown(self, grace_period: float | None = 0.0) -> None:
        """Also what ``shutdown`` and ``server_close`` call."""
        self.ledger.stop_asked(grace_period)
        super().request_shutdown(grace_period)

    async def obey(self) -> None:
        """Called by handlers: do to the server what was wished, if anything was."""
        wish, self.wish = self.wish, None
        if wish is None:
            return
        what, grace_period = wish
        match what:
            case "request_shutdown":
                self.request_shutdown(grace_period)
            case "shutdown":
                try:
                    await self.shutdown(grace_period)
                except trioserver.WrongTask:
                    return
                self.ledger.violated("P5", "shutdown() in a handler did not raise WrongTask")
            case "fatal":
                raise self.stop(Fatal("a handler"))
            case "handle_error":
                raise NotImplementedError("for handle_error")

    def obey_in_place(self) -> None:
        """The same for handlers that can not wait."""
        wish, self.wish = self.wish, None
        if wish is not None:
            self.request_shutdown(wish[1])


class Verifying(Watched):
    """Turns some requests away."""

    dice: random.Random

    async def verify_request(self, request: Any, client_address: Any) -> bool:
        """Think about it, then say no to a few."""
        plan, record = self.ledger.plan, self.current_request()
        refused = self.dice.random() < plan.rejects
        if plan.verify_delay:
            await trio.sleep(plan.verify_delay)
        if refused and record is not None:
            self.ledger.refused[record.id] = None
        return not refused


_BASES: dict[str, Any] = {
    "tcp": trioserver.TCPServer,
    "tls": trioserver.TCPServer,
    "unix": trioserver.UnixStreamServer,
    "udp": trioserver.UDPServer,
    "udp in place": trioserver.UDPServer,
    "sessions": trioserver.UDPSessionServer,
    "unix datagrams": trioserver.UnixDatagramServer,
    "unix datagrams in place": trioserver.UnixDatagramServer,
}
# In place only where no hook of a request is overridden.
_CLASSES: dict[str, Any] = {
    kind: type(base.__name__, (Watched if kind.endswith("in place") else Verifying, base), {})
    for kind, base in _BASES.items()
}


def handlers_of(plan: Plan) -> dict[str, Any]:
    """The handlers that serve what this server gets, by name."""
    if plan.streams:
        return STREAMS
    if plan.kind == "sessions":
        return SESSIONS
    return IN_PLACE if plan.in_place else PER_DATAGRAM


def _handler(plan: Plan, dice: random.Random) -> Any:
    """The server's handler: one of them, or one that gives each request to another."""
    handlers = list(handlers_of(plan).values())
    if plan.handlers == "one":
        return dice.choice([*handlers, UpperInPlace] if plan.in_place else handlers)
    # Not drawn from `dice` request by request: what is drawn elsewhere must not depend on how many there are.
    first = dice.getrandbits(32)
    count = 0

    def draw() -> Any:
        nonlocal count
        count += 1
        return handlers[(first + count * 2654435761) % 2**32 // 65536 % len(handlers)]

    def mixed_in_place(request: Any, client_address: Any, server: Any) -> None:
        draw()(request, client_address, server)

    async def mixed(request: Any, client_address: Any, server: Any) -> None:
        await draw()(request, client_address, server)

    return mixed_in_place if plan.in_place else mixed


def make_server(plan: Plan, dice: random.Random, on_violation: Callable[[], None]) -> Any:
    """A server as planned, with its ledger."""
    handler = _handler(plan, dice)
    options: dict[str, Any] = {"max_requests": plan.max_requests, "request_timeout": plan.request_timeout}
    if plan.streams:
        options["request_queue_size"] = plan.backlog
        options["linger_timeout"] = plan.linger_timeout
        options["handshake_timeout"] = plan.handshake_timeout
    if plan.kind == "tls":
        options["ssl_context"] = server_context()
    if plan.kind == "sessions":
        options["session_timeout"] = plan.session_timeout
        options["max_queued_datagrams"] = 1 + plan.backlog
    if plan.serving == "one by one":
        options["timeout"] = 0.5
    server = _CLASSES[plan.kind](PATH if plan.on_one_host else ("", PORT), handler, **options)
    server.ledger = Ledger(plan, server, on_violation)
    server.dice = dice
    return server
