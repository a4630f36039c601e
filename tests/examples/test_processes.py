"""The example ``processes``, with clients at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import receive_all, receive_exactly

if TYPE_CHECKING:
    from tests.examples.conftest import RunExample


async def test_primes_when_asked_by_two_clients_then_each_has_a_process(run_example: RunExample) -> None:
    """A client that has its process does not keep another one waiting for an answer."""
    async with run_example("processes") as example:
        async with await example.connect() as first, await example.connect() as second:
            for client in (first, second, first):
                await client.send_all(b"1000003\n999999\n")
                expected = b"1000003 is a prime\n999999 is no prime\n"
                assert await receive_exactly(client, len(expected)) == expected
            await second.send_eof()
            assert await receive_all(second) == b""


async def test_primes_when_interrupted_with_a_client_connected_then_ends_cleanly(
    run_example: RunExample,
) -> None:
    """Ctrl-C ends the server although a process serves a client: it is terminated, and says nothing."""
    async with run_example("processes") as example:
        client = await example.connect()
        async with client:
            await client.send_all(b"7\n")
            assert await receive_exactly(client, 13) == b"7 is a prime\n"
            example.interrupt()
            assert await receive_all(client) == b""
        await example.wait_clean_end()
