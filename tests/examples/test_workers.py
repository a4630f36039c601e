"""The example ``workers``: several processes on one port, replaced while clients come."""

from __future__ import annotations

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from harness import receive_exactly

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.examples.conftest import RunExample

EXAMPLES = Path(__file__).parents[2] / "examples"


async def test_workers_when_socat_asks_then_one_of_them_answers(
    run_example: RunExample, run_client: Callable[..., str]
) -> None:
    """And in the end the sum of what they have served is printed."""
    async with run_example("workers") as example:
        command = ("socat", "-t5", "-", f"TCP:127.0.0.1:{example.ports[0]}")
        reply = await trio.to_thread.run_sync(partial(run_client, *command, input=b"1000003\nhello\n12\n"))
        first, error, second = reply.splitlines()
        assert error == "error: send a whole number of at most 300 digits"
        assert first.startswith("1000003 is a prime, says ")
        assert second.startswith("12 is no prime, says ")
        assert f"Process {example.process.pid} at" in example.output.decode()
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


async def test_workers_when_ctrl_c_is_pressed_twice_then_running_requests_end_without_a_traceback(
    run_example: RunExample,
) -> None:
    """The client does not end, and would be waited for."""
    async with run_example("workers") as example, await example.connect() as client:
        await client.send_all(b"7\n12")  # half a line: a drain waits for the rest
        await receive_exactly(client, len(b"7 is a prime, says "))
        example.interrupt()
        while True:  # the parent has closed its sockets: it drains
            try:
                await (await example.connect()).aclose()
            except OSError:
                break
        example.interrupt()
        await example.wait_clean_end()


@pytest.mark.parametrize("name", ["workers", "callbacks"])
@pytest.mark.parametrize("port", ["http", "65536", "-1"])
def test_example_when_the_port_is_none_then_says_so_in_one_line(name: str, port: str) -> None:
    """No traceback."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), port]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"PORT must be 0 to 65535, not {port}\n"
