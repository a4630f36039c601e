"""How a connection with a callback handler is closed, by handler and client; in every way to serve."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import pytest
import trio
import trio.testing
from harness import receive_all, receive_exactly

import trioserver

from .kit import Commands, Connect, every_way, half_close, outcomes, play, until


@every_way
def test_close_when_called_by_a_method_then_ends_after_what_was_written(way: str) -> None:
    """What came after is dropped, and writing is an error from then on."""

    class Handler(Commands):
        pass

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            await client.send_all(b"echo\nclose\nmore\n")
            assert await receive_all(client) == b"echo\nbye\n"
        await until(lambda: not server.requests)
        with pytest.raises(trio.ClosedResourceError):
            Handler.all[0].write(b"late")
        Handler.all[0].close()

    server = play(way, Handler, talk)
    assert outcomes(server) == ["finished"]
    assert [handler.finished for handler in Handler.all] == [1]


@every_way
@pytest.mark.parametrize("at_once", [False, True])
def test_close_when_called_from_another_task_then_the_connection_ends(way: str, at_once: bool) -> None:
    """Nothing has to come from the client for that; with ``request.close()`` it ends at once."""

    class Handler(Commands):
        pass

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            await until(lambda: Handler.all)
            await trio.testing.wait_all_tasks_blocked()
            (handler,) = Handler.all
            if at_once:
                handler.request.close()
            else:
                handler.write(b"bye")
                handler.close()
                with pytest.raises(trio.ClosedResourceError):
                    handler.write(b"more")
            with contextlib.suppress(trio.BrokenResourceError):
                assert await receive_all(client) == (b"" if at_once else b"bye")
            await until(lambda: not server.requests)

    server = play(way, Handler, talk)
    assert outcomes(server) == ["finished"]
    assert [handler.finished for handler in Handler.all] == [1]


@every_way
@pytest.mark.parametrize("where", ["setup", "data_received", "eof_received"])
def test_request_close_in_a_method_then_that_is_no_error(way: str, where: str) -> None:
    """Nothing is made of what came after it, nor of what was written before."""
    late: list[str] = []
    lines: list[bytes] = []

    class Handler(Commands):
        def setup(self) -> None:
            super().setup()
            if where == "setup":
                self.request.close()

        def data_received(self, data: bytes) -> None:
            lines.append(data)
            super().data_received(data)
            if where == "data_received":
                self.request.close()

        def eof_received(self) -> None:
            self.request.close()

        def finish(self) -> None:
            super().finish()
            try:
                self.write(b"late")
            except trio.ClosedResourceError as error:
                late.append(type(error).__name__)

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            with contextlib.suppress(trio.BrokenResourceError):
                await client.send_all(b"one\ntwo\n")
                await half_close(client)
                await receive_all(client)
            await until(lambda: not server.requests)

    server = play(way, Handler, talk)
    assert server.errors == []
    assert outcomes(server) == ["finished"]
    assert late == ["ClosedResourceError"]
    assert len(lines) == {"setup": 0, "data_received": 1, "eof_received": 2}[where]


@pytest.mark.parametrize("way", ["in place", "in place unix", "portable", "hook"])
@pytest.mark.parametrize("how", ["close", "detach", "close and write"])
def test_p4_when_a_method_closes_the_socket_itself_then_that_connection_ends_and_no_other(
    way: str, how: str
) -> None:
    """As synchronous handlers do: ``self.request.socket.close()``. To write then is an error."""

    class Raw(Commands):
        def data_received(self, data: bytes) -> None:
            if data != b"end\n":
                self.write(data)
                return
            if how == "detach":
                socket.close(self.request.socket.detach())
            else:
                self.request.socket.close()
            if how == "close and write":
                self.write(data)
            else:
                self.close()

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as good, await connect() as bad:
            await bad.send_all(b"end\n")
            with contextlib.suppress(trio.BrokenResourceError):
                assert await receive_all(bad) == b""
            await until(lambda: len(server.requests) == 1)
            await good.send_all(b"echo\n")
            assert await receive_exactly(good, 5) == b"echo\n"

    server = play(way, Raw, talk, grace_period=None)
    expected = [trio.ClosedResourceError] if how == "close and write" else []
    assert [type(error) for error in server.errors] == expected
    assert sorted(outcomes(server)) == (["failed", "finished"] if expected else ["finished", "finished"])
    assert [handler.finished for handler in Raw.all] == [1, 1]


@every_way
def test_close_in_setup_then_the_connection_ends(way: str) -> None:
    """After the greeting."""

    class Handler(trioserver.CallbackRequestHandler):
        def setup(self) -> None:
            self.write(b"too many")
            self.close()

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            assert await receive_all(client) == b"too many"

    assert outcomes(play(way, Handler, talk, grace_period=None)) == ["finished"]


@every_way
def test_p4_request_close_in_the_constructor_then_that_connection_ends_and_no_other(way: str) -> None:
    """As in any method."""
    made: list[Any] = []

    class Handler(Commands):
        def __init__(self, request: Any, client_address: Any, server: Any) -> None:
            super().__init__(request, client_address, server)
            made.append(self)
            if len(made) == 1:
                self.request.close()

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            with contextlib.suppress(trio.BrokenResourceError):
                assert await receive_all(client) == b""
        async with await connect() as client:
            await client.send_all(b"echo\n")
            assert await receive_exactly(client, 5) == b"echo\n"

    server = play(way, Handler, talk, grace_period=None)
    assert server.errors == []
    assert outcomes(server) == ["finished", "finished"]


@every_way
def test_write_in_the_constructor_then_all_of_it_is_sent(way: str) -> None:
    """Also where there is no room for it at once."""

    class Handler(Commands):
        max_unsent_bytes = 20_000_000

        def __init__(self, request: Any, client_address: Any, server: Any) -> None:
            super().__init__(request, client_address, server)
            self.write(bytes(20_000_000))

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            assert await receive_exactly(client, 20_000_000) == bytes(20_000_000)
            await client.send_all(b"echo\n")
            assert await receive_exactly(client, 5) == b"echo\n"

    server = play(way, Handler, talk, grace_period=None)
    assert server.errors == []


@every_way
def test_eof_received_when_it_does_not_close_then_the_handler_goes_on_writing(way: str) -> None:
    """Until it closes; meanwhile the end is not told again."""
    ends: list[Any] = []

    class Handler(trioserver.CallbackRequestHandler):
        def eof_received(self) -> None:
            ends.append(self)

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            await half_close(client)
            await until(lambda: ends)
            await trio.testing.wait_all_tasks_blocked()
            ends[0].write(b"late ")
            assert await receive_exactly(client, 5) == b"late "
            ends[0].write(b"reply")
            ends[0].close()
            assert await receive_all(client) == b"reply"

    server = play(way, Handler, talk, grace_period=None)
    assert outcomes(server) == ["finished"]
    assert len(ends) == 1


@every_way
def test_eof_received_when_much_is_unsent_then_the_client_gets_all_of_it(way: str) -> None:
    """A client that half-closes and reads late."""
    reply = b"r" * 900_000

    class Handler(trioserver.CallbackRequestHandler):
        delimiter = b"\n"

        def data_received(self, data: bytes) -> None:
            self.write(reply)

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            await client.send_all(b"get\n" * 8)
            await half_close(client)
            await trio.testing.wait_all_tasks_blocked()
            assert len(await receive_all(client)) == 8 * len(reply)

    assert outcomes(play(way, Handler, talk, grace_period=None)) == ["finished"]
