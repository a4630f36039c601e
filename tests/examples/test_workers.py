"""The example ``workers``: several processes on one port, replaced while clients come."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING

import trio
from harness import receive_exactly

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.examples.conftest import RunExample


async def test_workers_when_socat_asks_then_one_of_them_answers(
    run_example: RunExample, run_client: Callable[..., str]
) -> None:
    """And in the end the sum of what they have served is printed."""
    async with run_example("workers") as example:
        command = ("socat", "-t5", "-", f"TCP:127.0.0.1:{example.ports[0]}")
        reply = await trio.to_thread.run_sync(partial(run_client, *command, input=b"1000003\n12\n"))
        first, second = reply.splitlines()
        assert first.startswith("1000003 is a prime, says ")
        assert second.startswith("12 is no prime, says ")
        assert f"Process {example.process.pid}, at" in example.output.decode()
    assert b"WorkersReport(accepted=1, finished=1, " in example.output


async def test_workers_when_hung_up_then_others_answer(run_example: RunExample) -> None:
    """Who is idle sees the end of the connection, connects again, and gets another process."""
    async with run_example("workers") as example:
        pids = []
        for _ in range(2):
            async with await example.connect() as client:
                await client.send_all(b"7\n")
                reply = await receive_exactly(client, len(b"7 is a prime, says 1\n"))
                while not reply.endswith(b"\n"):
                    reply += await receive_exactly(client, 1)
                pids.append(int(reply.split()[-1]))
                if len(pids) == 1:
                    example.process.send_signal(signal.SIGHUP)
                    assert await client.receive_some() == b""
        assert pids[0] != pids[1]
