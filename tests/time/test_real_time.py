"""The timeouts on real connections, in real time: no earlier than their value, at most a second later."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest
import trio
from harness import Recorder, client_of, receive_all, receive_exactly, wait_until

import trioserver
from trioserver import Outcome, Timeout

from ..promises.fakes import receive_until_closed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SECONDS = 0.03


def ended(recorder: Recorder) -> list[trioserver.RequestEnded]:
    """The events of requests that ended."""
    return [event for event in recorder.events if isinstance(event, trioserver.RequestEnded)]


class Patient(trioserver.StreamRequestHandler):
    """Waits for its client in three ways, as the first line says."""

    timeout: float | None = SECONDS
    seen: tuple[Timeout, ...] = ()

    async def handle(self) -> None:
        word = await self.rfile.readline()
        if word == b"read\n":
            await self.rfile.readline()
        elif word == b"write\n":
            await self.wfile.write(bytes(1 << 24))
        elif word == b"idle\n":
            assert not await self.wait_request()

    async def finish(self) -> None:
        type(self).seen = self.timeouts


@pytest.mark.parametrize("served_by", ["serve_forever", "handle_request"])
async def test_request_timeout_on_a_connection_then_it_ends_in_time(served_by: str, io_path: str) -> None:
    """The client sees the end of the connection, neither early nor a second late."""
    server = trioserver.TCPServer(("127.0.0.1", 0), Patient, request_timeout=SECONDS)
    server.add_observer(recorder := Recorder())
    async with server, trio.open_nursery() as nursery:
        nursery.start_soon(getattr(server, served_by))
        Patient.timeout = None
        try:
            async with client_of(server) as client:
                start = perf_counter()
                assert await receive_until_closed(client) == b""
                elapsed = perf_counter() - start
        finally:
            Patient.timeout = SECONDS
        server.request_shutdown()
    (event,) = ended(recorder)
    assert (event.outcome, event.timeouts, Patient.seen) == (
        Outcome.CANCELLED,
        (Timeout.REQUEST,),
        (Timeout.REQUEST,),
    )
    assert SECONDS <= event.duration <= SECONDS + 1
    assert elapsed <= SECONDS + 1


@pytest.mark.parametrize(
    ("word", "outcome", "timeouts"),
    [
        (b"read\n", Outcome.FAILED, (Timeout.WAIT,)),
        (b"write\n", Outcome.FAILED, (Timeout.WAIT,)),
        (b"idle\n", Outcome.FINISHED, (Timeout.IDLE,)),
        (b"end\n", Outcome.FINISHED, ()),
    ],
)
async def test_timeout_of_a_handler_then_its_event_says_which_wait_it_was(
    word: bytes, outcome: Outcome, timeouts: tuple[Timeout, ...], io_path: str
) -> None:
    """WAIT in reading and writing, IDLE in wait_request(), for the event and for ``finish`` alike."""
    server = trioserver.TCPServer(("127.0.0.1", 0), Patient, linger_timeout=0)
    server.add_observer(recorder := Recorder())
    async with server.running(), client_of(server) as client:
        await client.send_all(word)
        await wait_until(lambda: ended(recorder))
    (event,) = ended(recorder)
    assert (event.outcome, event.timeouts, Patient.seen) == (outcome, timeouts, timeouts)
    if timeouts:
        assert SECONDS <= event.duration <= SECONDS + 1


async def test_timeouts_when_several_fire_then_they_are_told_in_order_and_once_each(io_path: str) -> None:
    """A handler that goes on after each of them, until the whole request takes too long."""

    class Stubborn(trioserver.StreamRequestHandler):
        timeout = 0.002
        finish_timeout = 0.0

        async def handle(self) -> None:
            while True:
                assert not await self.wait_request(0.001)
                with pytest.raises(trioserver.StreamTimeout):
                    await self.rfile.readline()

        async def finish(self) -> None:
            await trio.sleep_forever()

    server = trioserver.TCPServer(("127.0.0.1", 0), Stubborn, request_timeout=SECONDS)
    server.add_observer(recorder := Recorder())
    async with server.running(), client_of(server):
        await wait_until(lambda: server.requests)
        (record,) = server.requests
        await wait_until(lambda: not server.requests)
    expected = (Timeout.IDLE, Timeout.WAIT, Timeout.REQUEST, Timeout.FINISH)
    assert record.timeouts == record.request.timeouts == ended(recorder)[0].timeouts == expected


async def test_request_timeout_of_one_connection_leaves_the_others_alone(io_path: str) -> None:
    """Not even when its request ended in time, and its task serves another connection now."""

    class Echo(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            async for line in self.rfile:
                await self.wfile.write(line)

    server = trioserver.TCPServer(("127.0.0.1", 0), Echo, request_timeout=SECONDS)
    server.add_observer(recorder := Recorder())
    async with server.running():
        async with client_of(server) as first:
            await first.send_all(b"first\n")
            await first.send_eof()
            assert await receive_all(first) == b"first\n"
        await wait_until(lambda: not server.requests)
        server.request_timeout = None
        async with client_of(server) as second, client_of(server) as third:
            await wait_until(lambda: len(server.requests) == 2)
            server.request_timeout = SECONDS
            async with client_of(server) as fourth:
                assert await receive_until_closed(fourth) == b""
                for client in (second, third):
                    await client.send_all(b"still here\n")
                    assert await receive_exactly(client, 11) == b"still here\n"
    events = ended(recorder)
    assert [event.timeouts for event in events] == [(), (Timeout.REQUEST,), (), ()]
    assert events[0].outcome is Outcome.FINISHED


async def test_request_timeout_covers_a_client_that_does_not_let_itself_be_closed(io_path: str) -> None:
    """The wait for the client to take the end of the reply is part of the request."""

    async def handler(request: trioserver.RequestStream, client_address: Any, server: object) -> None:
        await request.send_all(b"bye")

    server = trioserver.TCPServer(("127.0.0.1", 0), handler, request_timeout=SECONDS, linger_timeout=60)
    server.add_observer(recorder := Recorder())
    async with server.running(), client_of(server) as client:

        async def go_on_sending() -> AsyncIterator[None]:
            while not ended(recorder):
                await client.send_all(b"x")
                yield

        with trio.fail_after(5):
            try:
                async for _ in go_on_sending():
                    await trio.lowlevel.checkpoint()
            except trio.BrokenResourceError:
                await wait_until(lambda: ended(recorder))
    (event,) = ended(recorder)
    assert (event.outcome, event.timeouts) == (Outcome.FINISHED, (Timeout.REQUEST,))
    assert SECONDS <= event.duration <= SECONDS + 1
