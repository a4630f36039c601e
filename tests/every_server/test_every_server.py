"""The promises, over every kind of server there is: P1 to P6 and P8, each with what the kind makes hard."""

from __future__ import annotations

import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
from harness import Recorder, wait_until

import trioserver
from tests.every_server.kits import Client, Failed, Kit, every_kit, every_lasting_kit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def clients_of(kit: Kit, server: Any, folder: Path, count: int) -> AsyncIterator[list[Client]]:
    """So many clients."""
    clients = [kit.client(server, folder) for _ in range(count)]
    try:
        yield clients
    finally:
        for client in clients:
            client.close()


async def send_in_vain(client: Client) -> None:
    """Ask for what never ends; the server may end it."""
    with contextlib.suppress(trio.BrokenResourceError, ConnectionError):
        await client.send(b"hold\n")


class KeepsErrors:
    """Before a server class: keeps what ``handle_error`` gets."""

    errors: list[BaseException]

    async def handle_error(self, request: Any, client_address: Any) -> None:
        import sys

        error = sys.exc_info()[1]
        assert error is not None
        self.errors.append(error)


class Rejects:
    """Before a server class: rejects every request."""

    async def verify_request(self, request: Any, client_address: Any) -> bool:
        return False


class Ponders:
    """Before a server class: never makes up its mind about the first request."""

    seen = 0

    async def verify_request(self, request: Any, client_address: Any) -> bool:
        self.seen += 1
        if self.seen == 1:
            await trio.sleep_forever()
        return True


@every_lasting_kit
async def test_p1_when_shut_down_then_nothing_runs_and_every_connection_is_closed(
    kit: Kit, tmp_path: Path
) -> None:
    """Requests that would never end are cancelled; a client of a connection sees its end."""
    server = kit.server(tmp_path)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        async with clients_of(kit, server, tmp_path, 3) as clients:
            for client in clients:
                await client.send(b"hold\n")
            await wait_until(lambda: len(server.requests) == 3)
            report = await server.shutdown()
            assert server.requests == ()
            assert (report.accepted, report.cancelled) == (3, 3)
            if not kit.datagrams:
                assert [await client.receive() for client in clients] == [b"", b"", b""]


@every_lasting_kit
async def test_p1_when_the_caller_of_serve_forever_is_cancelled_then_it_is_the_same(
    kit: Kit, tmp_path: Path
) -> None:
    """Cancelling the nursery is a way to stop, whatever the requests wait for."""
    server = kit.server(tmp_path)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        async with clients_of(kit, server, tmp_path, 2) as clients:
            for client in clients:
                await client.send(b"hold\n")
            await wait_until(lambda: len(server.requests) == 2)
            nursery.cancel_scope.cancel()
    assert server.requests == ()
    assert server.state is trioserver.State.STOPPED
    statistics = server.statistics()
    assert statistics.cancelled == 2, statistics


@every_kit
async def test_p2_when_stopped_while_clients_come_then_no_request_is_lost(kit: Kit, tmp_path: Path) -> None:
    """However soon the stop comes, each request is accounted for, and no socket is left."""
    for turns in range(12):
        server = kit.server(tmp_path)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            async with clients_of(kit, server, tmp_path, 2) as clients:
                async with trio.open_nursery() as sending:
                    for client in clients:
                        sending.start_soon(client.send, b"echo\n")
                    for _ in range(turns):
                        await trio.lowlevel.checkpoint()
                    sending.cancel_scope.cancel()
                nursery.cancel_scope.cancel()
        numbers = server.statistics()
        ended = numbers.finished + numbers.failed + numbers.cancelled + numbers.rejected
        assert (numbers.accepted, numbers.active) == (ended, 0)


@every_kit
async def test_p3_when_requests_end_in_each_way_then_the_counts_and_events_say_so(
    kit: Kit, tmp_path: Path
) -> None:
    """Finished, failed and, where a request can last, cancelled: each counted once, with one event."""
    recorder = Recorder()
    server = kit.server(tmp_path, KeepsErrors)
    server.errors = []
    server.add_observer(recorder)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        async with clients_of(kit, server, tmp_path, 3) as (good, bad, held):
            assert await good.ask(b"echo\n") == b"echo\n"
            if kit.server_class is trioserver.UDPSessionServer:
                await good.send(b"bye\n")
            good.close()
            await bad.send(b"fail\n")
            await wait_until(lambda: server.statistics().failed == 1)
            if kit.holds:
                await held.send(b"hold\n")
                await wait_until(lambda: server.statistics().accepted == 3)
            if kit.holds:
                await wait_until(lambda: len(server.requests) == 1)
            report = await server.shutdown()
    assert (report.finished, report.failed, report.cancelled) == (1, 1, int(kit.holds))
    ended = [event for event in recorder.events if isinstance(event, trioserver.RequestEnded)]
    accepted = [event for event in recorder.events if isinstance(event, trioserver.RequestAccepted)]
    assert sorted(event.request_id for event in ended) == [event.request_id for event in accepted]
    outcomes = sorted(event.outcome.value for event in ended)
    assert outcomes == ["cancelled"] * kit.holds + ["failed", "finished"]
    assert recorder.names()[-1] == "ServerStopped"


@every_kit
async def test_p3_when_verify_request_says_no_then_the_request_is_rejected(kit: Kit, tmp_path: Path) -> None:
    """It is counted, and its handler never called; that goes for handlers without a task, too."""
    async with kit.server(tmp_path, Rejects).running() as server:
        async with clients_of(kit, server, tmp_path, 1) as (client,):
            try:
                with trio.CancelScope() as scope:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(client.send, b"echo\n")
                        await wait_until(lambda: server.statistics().rejected == 1)
                        scope.cancel()
            except* (trio.BrokenResourceError, ConnectionError):
                pass  # it is closed, perhaps in the midst of the client's handshake
        await wait_until(lambda: server.statistics().rejected >= 1)
        assert server.statistics().finished == 0


@every_kit
async def test_p4_when_a_handler_raises_then_no_other_request_feels_it(kit: Kit, tmp_path: Path) -> None:
    """The error goes to ``handle_error`` once, and the next request is served."""
    server = kit.server(tmp_path, KeepsErrors)
    server.errors = []
    async with server.running():
        async with clients_of(kit, server, tmp_path, 2) as (bad, good):
            await bad.send(b"fail\n")
            await wait_until(lambda: server.errors)
            assert await good.ask(b"echo\n") == b"echo\n"
    (error,) = server.errors
    assert isinstance(error, Failed if kit.sees_errors else trioserver.HandlerProcessError)


@every_lasting_kit
async def test_p5_when_a_grace_period_is_over_then_what_still_runs_is_cancelled(
    kit: Kit, tmp_path: Path
) -> None:
    """What ends by itself meanwhile does, and the rest does not hold up the end."""
    server = kit.server(tmp_path)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        async with clients_of(kit, server, tmp_path, 2) as (held, other):
            await held.send(b"hold\n")
            await wait_until(lambda: len(server.requests) == 1)
            assert await other.ask(b"echo\n") == b"echo\n"
            started = trio.current_time()
            report = await server.shutdown(0.05)
            assert 0.05 <= trio.current_time() - started < 0.05 + 5 + 1  # a process has its finish_timeout
            assert report.cancelled >= 1


@every_kit
async def test_p5_when_shut_down_before_and_after_serving_then_it_returns_at_once(
    kit: Kit, tmp_path: Path
) -> None:
    """A shutdown that comes first makes serving return; one that comes late finds nothing to do."""
    server = kit.server(tmp_path)
    await server.shutdown()
    await server.serve_forever()
    await server.shutdown()
    assert server.state is trioserver.State.STOPPED


@every_kit
async def test_p5_handle_request_serves_one_and_returns(kit: Kit, tmp_path: Path) -> None:
    """It returns when the request is done, and the server can go on to another."""
    async with kit.server(tmp_path) as server:
        if kit.server_class is trioserver.UDPSessionServer:
            server.session_timeout = 0.01
        for _ in range(2):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.handle_request)
                async with clients_of(kit, server, tmp_path, 1) as (client,):
                    assert await client.ask(b"echo\n") == b"echo\n"
        assert server.statistics().finished == 2


@every_lasting_kit
async def test_p6_when_the_limit_is_reached_then_no_more_are_accepted(kit: Kit, tmp_path: Path) -> None:
    """Never more than the limit; a place that comes free is taken; a raised limit, too."""
    server = kit.server(tmp_path, max_requests=2)
    most = 0

    def watch(event: trioserver.ServerEvent) -> None:
        nonlocal most
        most = max(most, len(server.requests))

    server.add_observer(watch)
    async with server.running():
        async with clients_of(kit, server, tmp_path, 5) as clients:
            async with trio.open_nursery() as sending:
                for client in clients:
                    sending.start_soon(send_in_vain, client)
                await wait_until(lambda: len(server.requests) == 2)
                if (
                    kit.server_class is not trioserver.UDPSessionServer
                ):  # which drops what it has no place for
                    server.requests[0].cancel()
                    await wait_until(lambda: server.statistics().accepted == 3 and len(server.requests) == 2)
                    assert most == 2
                    server.max_requests = 4
                    await wait_until(lambda: len(server.requests) == 4)
                sending.cancel_scope.cancel()
            assert most <= 4


@every_kit
async def test_p8_when_verify_request_waits_then_others_are_served(kit: Kit, tmp_path: Path) -> None:
    """A hook that waits for ever holds up its own request alone."""
    async with kit.server(tmp_path, Ponders).running() as server:
        async with clients_of(kit, server, tmp_path, 2) as (first, second):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(first.send, b"echo\n")
                await wait_until(lambda: server.seen == 1)
                assert await second.ask(b"echo\n") == b"echo\n"
                nursery.cancel_scope.cancel()


@every_lasting_kit
async def test_request_timeout_when_a_request_lasts_too_long_then_it_is_cancelled(
    kit: Kit, tmp_path: Path
) -> None:
    """Not before its time, and the event says which timeout it was."""
    recorder = Recorder()
    server = kit.server(tmp_path, request_timeout=0.05)
    server.add_observer(recorder)
    async with server.running():
        async with clients_of(kit, server, tmp_path, 1) as (client,):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_in_vain, client)
                await wait_until(lambda: server.statistics().cancelled == 1)
                nursery.cancel_scope.cancel()
    (ended,) = (event for event in recorder.events if isinstance(event, trioserver.RequestEnded))
    assert ended.timeouts[0] is trioserver.Timeout.REQUEST
    assert 0.05 <= ended.duration < 1.05


@pytest.mark.parametrize("grace", [0, 0.05])
@every_kit
async def test_p1_when_clients_vanish_then_their_requests_end(kit: Kit, tmp_path: Path, grace: float) -> None:
    """Clients that go away in the middle leave nothing behind, and nothing at level ERROR for the server."""
    server = kit.server(tmp_path)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        async with clients_of(kit, server, tmp_path, 3) as clients:
            for client in clients:
                assert await client.ask(b"echo\n") == b"echo\n"
        if not kit.datagrams:
            await wait_until(lambda: not server.requests)
        await server.shutdown(grace)
    assert server.statistics().failed == 0
