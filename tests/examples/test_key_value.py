"""The example ``key_value``, with Redis's own clients and with one that speaks the protocol badly."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
from harness import receive_all, receive_exactly

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.examples.conftest import RunExample


async def test_key_value_when_redis_cli_sends_commands_then_answers_as_redis(
    run_example: RunExample, run_client: Callable[..., str]
) -> None:
    """Every command of the example, through one redis-cli."""
    error = "ERR unknown command or wrong arguments\n"
    commands = {
        "PING": "PONG",
        "SET n 41": "OK",
        "GET n": "41",
        "get n": "41",
        "GET nothing": "",
        "GET": error,
        "EAT n": error,
    }
    async with run_example("key_value") as example:
        client = partial(run_client, "redis-cli", "-p", str(example.ports[0]))
        said = await trio.to_thread.run_sync(lambda: client(input="\n".join(commands).encode()))
        assert said == "".join(f"{reply}\n" for reply in commands.values())


async def test_key_value_when_redis_benchmark_pipelines_then_every_request_is_answered(
    run_example: RunExample, run_client: Callable[..., str]
) -> None:
    """The load of the documentation: 16 requests in flight on each of 50 connections."""
    async with run_example("key_value") as example:
        options = ("-t", "ping,set,get", "-P", "16", "-n", "10000", "-q", "--csv")
        client = partial(run_client, "redis-benchmark", "-p", str(example.ports[0]), *options)
        names = [line.split(",")[0] for line in (await trio.to_thread.run_sync(client)).splitlines()]
        assert names[1:] == ['"PING_INLINE"', '"PING_MBULK"', '"SET"', '"GET"']


async def test_key_value_when_values_are_binary_then_they_come_back_unchanged(
    run_example: RunExample,
) -> None:
    """Values may hold anything, line ends too; and requests may come in any pieces."""
    value = bytes(range(256)) + b"\r\n$3\r\n"
    request = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%b\r\n" % (len(value), value)
    async with run_example("key_value") as example, await example.connect() as client:
        await client.send_all(request[:30])
        await client.send_all(request[30:] + b"GET k\r\n")
        reply = b"+OK\r\n$%d\r\n%b\r\n" % (len(value), value)
        assert await receive_exactly(client, len(reply)) == reply


@pytest.mark.parametrize(
    "nonsense",
    [
        b"*x\r\n",
        b"*1\r\n$-5\r\n",
        b"*1\r\n$2000000\r\n",
        b"*1000000000\r\n" + b"$0\r\n\r\n" * 40_000,
        b"*1\r\nPING\r\n",
        b"x" * 70_000,
    ],
    ids=["no count", "negative size", "large word", "many words", "no size", "long line"],
)
async def test_key_value_when_sent_nonsense_then_hangs_up(run_example: RunExample, nonsense: bytes) -> None:
    """What is no request or too large is refused before it is stored, and without a traceback."""
    async with run_example("key_value") as example, await example.connect() as client:
        await client.send_all(nonsense)
        assert await receive_all(client) == b""
