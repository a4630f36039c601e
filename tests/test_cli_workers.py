"""``python -m trioserver --workers N``: what it prints, and how it restarts, drains and stops."""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from command_line import Running, connect, serving
from harness import receive_exactly, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import trio

if sys.platform == "win32":
    pytest.skip("workers are for POSIX", allow_module_level=True)

STOPPED = "Stopped. Requests: {} accepted, {} finished, 0 failed, {} cancelled, 0 rejected."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a module to serve from."""
    (tmp_path / "handlers.py").write_text(
        "import os\n"
        "async def whoami(request, client_address, server):\n"
        "    await request.send_all(b'%d\\n' % os.getpid())\n"
        "    async for chunk in request:\n"
        "        await request.send_all(chunk)\n"
    )
    return tmp_path


async def workers_of(running: Running) -> list[int]:
    """The workers that it printed."""
    match = await running.read_until(r"pid (\d+), workers ([\d, ]+); kill -HUP (\d+) restarts them\.\n")
    assert int(match[1]) == int(match[3]) == running.process.pid
    return [int(pid) for pid in match[2].split(", ")]


async def ask_pid(client: trio.SocketStream) -> int:
    """Which worker serves a client."""
    line = b""
    while not line.endswith(b"\n"):
        line += await receive_exactly(client, 1)
    return int(line)


async def test_cli_when_there_is_one_worker_then_it_is_replaced_when_hung_up(folder: Path) -> None:
    """It has a parent, as several have."""
    async with serving(folder, "--workers", "1") as running:
        (pid,) = await workers_of(running)
        running.process.send_signal(signal.SIGHUP)
        await running.read_until(rf"Worker \d+ has taken the place of {pid}\.\n")
        await running.read_until(r"The workers were replaced\.\n")
        running.process.send_signal(signal.SIGTERM)
        assert await running.end() == (0, STOPPED.format(0, 0, 0))


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
async def test_cli_when_there_are_workers_then_they_serve_and_drain_at_a_signal(
    folder: Path, signum: signal.Signals
) -> None:
    """One line for the start, with who they are; the sum of what they have served; exit code 0."""
    async with serving(folder, "handlers:whoami", "--workers", "2") as running:
        pids = await workers_of(running)
        assert len(pids) == 2
        async with await connect(running) as client:
            assert await ask_pid(client) in pids
            running.process.send_signal(signum)
            await running.read_until("Waiting at most 10 s")
            await client.send_all(b"still there\n")
            assert await receive_exactly(client, 12) == b"still there\n"
        assert await running.end() == (0, STOPPED.format(1, 1, 0))


async def test_cli_when_ctrl_c_is_pressed_twice_then_the_workers_cancel(folder: Path) -> None:
    """As it comes in a terminal: to all processes of the group; the workers have no part in that."""
    async with serving(folder, "handlers:whoami", "--workers", "2", "--grace-period", "600") as running:
        pids = await workers_of(running)
        async with await connect(running) as client:
            assert await ask_pid(client) in pids
            running.process.send_signal(signal.SIGINT)
            for pid in pids:
                assert os.getpgid(pid) == pid != os.getpgid(running.process.pid)
            await running.read_until("Waiting at most 600 s")
            running.process.send_signal(signal.SIGINT)
            assert await running.end() == (0, STOPPED.format(1, 0, 1))
    assert "Cancelling them." in running.output


async def test_cli_when_hung_up_then_the_workers_are_replaced(folder: Path) -> None:
    """One after the other, each with a line; with a changed program. A client of an old one is served on."""
    async with serving(folder, "handlers:whoami", "--workers", "2") as running:
        pids = await workers_of(running)
        async with await connect(running) as client:
            assert await ask_pid(client) in pids
            (folder / "handlers.py").write_text(
                "async def whoami(request, client_address, server):\n    await request.send_all(b'0\\n')\n"
            )
            running.process.send_signal(signal.SIGHUP)
            for pid in pids:
                await running.read_until(rf"Worker \d+ has taken the place of {pid}\.\n")
            connections, answer = 1, -1
            while answer != 0:  # the last of the old ones may not have been told yet
                connections += 1
                async with await connect(running) as other:
                    answer = await ask_pid(other)
            await client.send_all(b"still there\n")
            assert await receive_exactly(client, 12) == b"still there\n"
        await running.read_until(r"The workers were replaced\.\n")
        (folder / "handlers.py").write_text("broken")
        running.process.send_signal(signal.SIGHUP)
        assert running.process.stderr is not None
        errors = await running.process.stderr.receive_some()
        assert errors.startswith(b"Not all workers were replaced; the old ones go on: a worker could not ")
        assert b"importing 'handlers' failed: NameError at " in errors
        running.process.send_signal(signal.SIGTERM)
        assert await running.end() == (0, STOPPED.format(connections, connections, 0))


async def test_cli_when_nobody_reads_its_errors_then_a_restart_that_fails_ends_nothing(folder: Path) -> None:
    """As with ``2> >(tee log)`` whose tee has ended: the old workers go on, and so does their parent."""
    async with serving(folder, "handlers:whoami", "--workers", "2") as running:
        pids = await workers_of(running)
        assert running.process.stderr is not None
        await running.process.stderr.aclose()
        (folder / "handlers.py").write_text("open('tried', 'w').close()\nbroken")
        running.process.send_signal(signal.SIGHUP)
        await wait_until((folder / "tried").exists)
        (folder / "handlers.py").write_text("async def whoami(request, client_address, server): ...")
        running.process.send_signal(signal.SIGHUP)
        await running.read_until(rf"Worker \d+ has taken the place of {pids[1]}\.\n")
        running.process.send_signal(signal.SIGTERM)
        assert await running.end() == (0, STOPPED.format(0, 0, 0))


async def test_cli_when_a_worker_is_killed_then_says_who_takes_its_place(folder: Path) -> None:
    """And that it could not say what it had served."""
    async with serving(folder, "--workers", "1", "--workers", "2", "--bind", f"unix:{folder}/s") as running:
        victim, other = await workers_of(running)
        os.kill(victim, signal.SIGKILL)
        match = await running.read_until(rf"Worker (\d+) has taken the place of {victim}\.\n")
        assert int(match[1]) not in (victim, other)
        running.process.send_signal(signal.SIGTERM)
        assert await running.end() == (0, STOPPED.format(0, 0, 0))
    assert "Workers that could not say what they had served: 1 of 3." in running.output


async def test_cli_when_workers_do_not_last_then_says_when_the_next_is_started(folder: Path) -> None:
    """From the second time on."""
    async with serving(folder, "--workers", "2") as running:
        pid = (await workers_of(running))[0]
        for _ in range(2):
            os.kill(pid, signal.SIGKILL)
            match = await running.read_until(rf"Worker (\d+) has taken the place of {pid}\.\n")
            pid = int(match[1])
        assert re.search(r"The next worker is started in 0\.1 s\.", running.output)
