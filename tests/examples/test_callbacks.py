"""The example ``callbacks``: a cache that is served in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import receive_all, receive_exactly

if TYPE_CHECKING:
    from tests.examples.conftest import RunExample


async def test_callbacks_when_commands_are_pipelined_then_each_is_answered(run_example: RunExample) -> None:
    """In order, whatever they are; what one client sets another one gets."""
    error = b"-ERR unknown command or wrong arguments\r\n"
    async with run_example("callbacks") as example, await example.connect() as client:
        await client.send_all(b"PING\r\nset n a value\r\n\r\nGET n\r\nGET nothing\r\nGET\r\nEAT n\n")
        reply = b"+PONG\r\n+OK\r\n$7\r\na value\r\n$-1\r\n" + error + error
        assert await receive_exactly(client, len(reply)) == reply
        async with await example.connect() as other:
            await other.send_all(b"get n\nquit\nPING\n")
            assert await receive_all(other) == b"$7\r\na value\r\n+OK\r\n"
