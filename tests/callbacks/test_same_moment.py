"""What another task does to a connection in the very moment in which its client does something."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from harness import receive_exactly

from .kit import Commands, Connect, every_way, outcomes, play, reset, until

if TYPE_CHECKING:
    from collections.abc import Callable

on_real_sockets = pytest.mark.parametrize("way", ["in place", "in place unix", "portable", "hook", "tls"])


class JustBefore(trio.abc.Instrument):
    """Calls something once, right before a request's task that waited has its next turn."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.call: Callable[[], object] | None = call
        self.asking = trio.lowlevel.current_task()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Called by trio."""
        if self.call is not None and task.name == "trioserver: request" and task is not self.asking:
            call, self.call = self.call, None
            call()


async def first_line(client: Any) -> None:
    """Exchange a line, so that the connection waits for the next one."""
    await client.send_all(b"first\n")
    assert await receive_exactly(client, 6) == b"first\n"
    await trio.testing.wait_all_tasks_blocked()


async def skip(client: Any, count: int) -> None:
    """Receive so many bytes, whatever they are."""
    while count:
        count -= len(await client.receive_some(count))


def send_at_once(way: str, client: Any, data: bytes) -> None:
    """Send without a turn for any other task."""
    if way == "tls":
        client._ssl_object.write(data)
        data = client._outgoing.read()
        client = client.transport_stream
    assert client.socket._sock.send(data) == len(data)


@every_way
def test_busy_when_set_as_input_wakes_the_handlers_task_then_the_connection_goes_on(way: str) -> None:
    """That it looked at what had changed does not end the connection when it next waits."""

    class Handler(Commands):
        pass

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            await first_line(client)
            handler = Handler.all[0]

            def change() -> None:
                handler.busy = True
                handler.busy = False

            just_before = JustBefore(change)
            trio.lowlevel.add_instrument(just_before)
            for line in (b"second\n", b"third\n"):
                await client.send_all(line)
                with trio.fail_after(5):
                    assert await receive_exactly(client, len(line)) == line
                await trio.testing.wait_all_tasks_blocked()
            trio.lowlevel.remove_instrument(just_before)
            assert way.startswith("in place") or just_before.call is None

    play(way, Handler, talk)


@on_real_sockets
def test_p9_data_received_when_input_came_with_a_push_then_it_waits_until_that_is_sent(way: str) -> None:
    """As long as something is unsent nothing is read, or the reply to it would be too much."""
    size = 20_000_000

    class Handler(Commands):
        delimiter = None  # type: ignore[assignment]

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            await first_line(client)
            send_at_once(way, client, b"second\n")
            Handler.all[0].write(bytes(size))
            with trio.fail_after(20):
                await skip(client, size)
                assert await receive_exactly(client, 7) == b"second\n"

    server = play(way, Handler, talk)
    assert server.errors == []


@pytest.mark.parametrize("way", ["in place", "portable", "hook", "tls"])
@pytest.mark.parametrize("half", [b"", b"half a line"])
def test_p4_reset_when_a_push_is_the_first_to_find_it_then_it_is_no_end_of_the_stream(
    way: str, half: bytes
) -> None:
    """The system tells of it once; half a line is not passed on, and the request has failed."""
    got: list[object] = []

    class Handler(Commands):
        def data_received(self, data: bytes) -> None:
            got.append(data)
            self.write(data)

        def eof_received(self) -> None:
            got.append("eof")
            super().eof_received()

    async def talk(server: Any, connect: Connect) -> None:
        client = await connect()
        await first_line(client)
        if half:
            await client.send_all(half)
            await until(lambda: server.statistics().bytes_received == 6 + len(half))
        await trio.testing.wait_all_tasks_blocked()
        await reset(client)  # no checkpoint in it
        Handler.all[0].write(b"push")
        with trio.fail_after(5):
            await until(lambda: not server.requests)

    server = play(way, Handler, talk)
    assert got == [b"first\n"]
    (error,) = server.errors
    assert isinstance(error, trio.BrokenResourceError)
    assert outcomes(server) == ["failed"]


@on_real_sockets
def test_close_when_called_after_the_timeout_was_due_then_it_goes_before_it(way: str) -> None:
    """A task that holds up all others past the deadline, and then closes: the close is first."""

    class Handler(Commands):
        timeout = 0.05

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            await first_line(client)
            await client.send_all(b"half a line")
            with trio.fail_after(5):
                while server.statistics().bytes_received < 6 + len(b"half a line"):
                    await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            time.sleep(0.1)  # noqa: ASYNC251  others can not run
            Handler.all[0].close()
            await until(lambda: not server.requests)

    server = play(way, Handler, talk)
    assert server.errors == []
    assert outcomes(server) == ["finished"]


def test_write_when_room_ends_in_the_middle_of_a_record_then_the_rest_follows_by_itself() -> None:
    """Over TLS what counts as sent may wait for room."""

    class Handler(Commands):
        pass

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            await first_line(client)
            handler = Handler.all[0]
            size = 0
            while not handler.request.unflushed:
                handler.write(b"x" * 1000)
                size += 1000
            with trio.fail_after(20):
                assert await receive_exactly(client, size) == b"x" * size

    play("tls", Handler, talk)


@pytest.mark.parametrize("way", ["portable", "hook", "tls"])
def test_data_received_when_another_task_sends_on_the_request_then_it_is_called_all_the_same(
    way: str,
) -> None:
    """Though nobody should; what that task waits for is not this connection's to send."""
    size = 20_000_000
    got: list[bytes] = []

    class Handler(Commands):
        def data_received(self, data: bytes) -> None:
            got.append(data)
            if len(got) == 1:
                self.write(data)

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client, trio.open_nursery() as nursery:
            await first_line(client)
            nursery.start_soon(Handler.all[0].request.send_all, bytes(size))
            await trio.testing.wait_all_tasks_blocked(0.01)
            await client.send_all(b"second\n")
            await until(lambda: len(got) == 2)
            with trio.fail_after(20):
                await skip(client, size)

    server = play(way, Handler, talk)
    assert server.errors == []
