"""The examples ``blocking`` and ``select_two``: programs without trio, with real clients."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio
from harness import receive_all, receive_exactly

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.examples.conftest import RunExample


async def test_blocking_when_socat_sets_and_gets_then_is_answered(
    run_example: RunExample, run_client: Callable[..., str]
) -> None:
    """And the program says at its end what it has."""
    async with run_example("blocking") as example:
        command = partial(run_client, "socat", "-", f"TCP:127.0.0.1:{example.ports[0]}")
        lines = b"set colour blue\nget colour\nget size\nforget\n"
        assert await trio.to_thread.run_sync(partial(command, input=lines)) == "ok\nblue\n\nwhat?\n"
        async with await example.connect() as idle:  # does not hold up the end
            await idle.send_all(b"set size 3\n")
            assert await receive_exactly(idle, 3) == b"ok\n"
            example.interrupt()
            assert await receive_all(idle) == b""
    assert example.output.endswith(b"Bye, with 2 keys\n")


async def test_select_two_when_clients_come_to_both_then_each_server_answers(
    run_example: RunExample, run_client: Callable[..., str]
) -> None:
    """One after the other."""
    async with run_example("select_two", lines=2) as example:
        for which, input, reply in ((0, b"hello\nworld\n", "HELLO\nWORLD\n"), (1, b"", "2 lines\n")):
            command = ("socat", "-", f"TCP:127.0.0.1:{example.ports[which]}")
            assert await trio.to_thread.run_sync(partial(run_client, *command, input=input)) == reply


async def test_select_two_when_interrupted_while_it_serves_then_ends(run_example: RunExample) -> None:
    """As soon as that request is done."""
    async with run_example("select_two", lines=2) as example, await example.connect() as client:
        await client.send_all(b"hello\n")
        assert await receive_exactly(client, 6) == b"HELLO\n"
        example.interrupt()
        await client.send_all(b"world\n")
        assert await receive_exactly(client, 6) == b"WORLD\n"
        await client.send_eof()
        assert await receive_all(client) == b""
