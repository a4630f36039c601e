"""Workers serve: on TCP, Unix and UDP sockets, with whatever makes their servers."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio
import worker_programs

import trioserver
from trioserver import WorkerEnded, WorkersReport, WorkersStarted, WorkersStopped, WorkerStarted

from .kit import LOOPBACK, Watched, client_of, client_of_worker, talking

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("one_socket_each", [True, False] if sys.platform == "linux" else [False])
async def test_workers_when_there_are_two_then_both_serve_and_their_reports_add_up(
    one_socket_each: bool,
) -> None:
    """With sockets of their own, or with one for both; the whole life, as its observers are told."""
    workers = talking(workers=2, one_socket_each=one_socket_each)
    assert (workers.state, workers.processes) == (trioserver.State.NEW, ())
    async with workers.running():
        pids = workers.pids
        assert len(set(pids)) == 2
        assert sorted(each.slot for each in workers.processes) == [0, 1]
        if one_socket_each:
            for pid in pids:
                async with client_of_worker(workers, pid) as client:
                    assert await client.ask(b"hello") == b"hello"
        async with client_of(workers) as client:
            assert await client.pid() in pids
        report = await workers.shutdown(5)
    assert report.accepted == report.finished >= 1
    assert (report.workers, report.unreported) == (2, 0)
    assert sorted(event.pid for event in workers.of(WorkerStarted)) == sorted(pids)
    ended = workers.of(WorkerEnded)
    assert [(event.expected, event.exit_status) for event in ended] == [(True, 0)] * 2
    assert sum(event.report.accepted for event in ended) == report.accepted
    assert workers.of(WorkersStarted)[0].server_address == workers.server_address
    assert workers.events[-1] == workers.of(WorkersStopped)[0]
    assert workers.events[-1].report == report
    assert (workers.state, workers.processes) == (trioserver.State.STOPPED, ())


async def test_workers_when_served_a_second_time_then_count_afresh() -> None:
    """On another free port."""
    workers = talking()
    for _ in range(2):
        async with workers.running():
            async with client_of(workers) as client:
                assert await client.pid() in workers.pids
            report = await workers.shutdown(5)
        assert (report.accepted, report.workers) == (1, 1)


async def test_workers_on_a_unix_socket_share_it_and_its_file_is_removed(tmp_path: Path) -> None:
    """With the permissions that were asked for; a client that comes after the end finds nobody."""
    path = tmp_path / "s"
    workers = Watched(worker_programs.talk_on_unix, path, workers=2, mode=0o600)
    async with workers.running():
        assert path.stat().st_mode & 0o777 == 0o600
        async with client_of(workers) as client:
            assert await client.pid() in workers.pids
    assert not path.exists()


async def test_workers_serve_datagrams() -> None:
    """Each on a socket of its own where there can be such: a client's all go to the same one."""
    workers = Watched(worker_programs.shout, LOOPBACK, workers=2, socket_type=socket.SOCK_DGRAM)
    async with workers.running():
        with trio.socket.socket(type=socket.SOCK_DGRAM) as client:
            await client.connect(workers.server_address)
            await client.send(b"hello")
            assert await client.recv(100) == b"HELLO"
        report = await workers.shutdown(5)
    assert (report.accepted, report.finished) == (1, 1)


async def test_workers_adopt_a_socket_and_close_it_in_the_end() -> None:
    """Such as one of systemd's."""
    with socket.create_server(LOOPBACK) as sock:
        address = sock.getsockname()
        workers = Watched(worker_programs.talk, sock=sock, workers=1)
        async with workers.running():
            assert workers.server_address == address
            async with client_of(workers) as client:
                assert await client.pid() in workers.pids
        assert sock.fileno() == -1


async def test_workers_at_all_addresses_of_a_name_serve_each_of_them() -> None:
    """On one port; IPv6 is not everywhere."""
    workers = Watched(worker_programs.talk, ("localhost", 0), workers=1, all_addresses=True)
    async with workers.running():
        _, port, *_ = workers.server_address
        for host in ("127.0.0.1", "::1"):
            with contextlib.suppress(OSError):
                async with await trio.open_tcp_stream(host, port) as stream:
                    await stream.send_all(b"hello\n")
                    assert await stream.receive_some() == b"hello\n"
        report = await workers.shutdown(5)
    assert report.finished >= 1


async def test_make_server_may_be_a_name_and_may_be_asynchronous() -> None:
    """A name is not imported here; what it returns is awaited."""
    async with Watched("worker_programs:talk_later", LOOPBACK, workers=1).running() as workers:
        async with client_of(workers) as client:
            assert await client.pid() in workers.pids


async def test_make_server_may_be_a_context_manager_which_is_left_after_the_drain(tmp_path: Path) -> None:
    """What a worker needs beside its server is closed in order."""
    path = tmp_path / "note"
    make_server = functools.partial(worker_programs.talk_and_note, str(path))
    async with Watched(make_server, LOOPBACK, workers=1).running(grace_period=5) as workers:
        async with client_of(workers) as client:
            assert await client.pid() in workers.pids
        assert path.read_text() == ""
    assert path.read_text() == "closed\n"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
async def test_a_worker_has_its_own_sockets_and_no_other() -> None:
    """Not those of its neighbours, nor any of this process: a listening socket that nobody knows of swallows
    connections."""
    async with talking(workers=2).running() as workers:
        ours = set(worker_programs.open_sockets())
        assert len(ours) >= 2
        for pid in workers.pids:
            async with client_of_worker(workers, pid) as client:
                theirs = set((await client.ask(b"sockets")).decode().split())
            assert len(theirs & ours) == 1


WITHOUT_STANDARD_STREAMS = """
import os, sys, trio, trioserver, worker_programs

async def main():
    report = os.dup(1)
    for number in map(int, sys.argv[1:]):
        os.close(number)
    async with trioserver.Workers(worker_programs.talk, ("127.0.0.1", 0), workers=2).running() as workers:
        stream = await trio.open_tcp_stream(*workers.server_address)
        await stream.send_all(b"hello\\n")
        os.write(report, bytes(await stream.receive_some()))

if __name__ == "__main__":
    trio.run(main)
"""


@pytest.mark.parametrize("closed", [["0"], ["0", "1", "2"]], ids="".join)
def test_workers_when_their_parent_has_closed_its_standard_streams_then_they_have_their_sockets(
    closed: list[str], tmp_path: Path
) -> None:
    """As daemons do: the next sockets get these numbers, which mean something else to a new process."""
    program = tmp_path / "program.py"
    program.write_text(WITHOUT_STANDARD_STREAMS)
    support = os.path.dirname(worker_programs.__file__)
    done = subprocess.run(
        [sys.executable, program, *closed],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([support, *sys.path])},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr


async def test_the_port_is_taken_while_workers_serve_and_free_afterwards() -> None:
    """Not shared with another program by mistake, though the workers share it with each other."""
    workers = talking(workers=2)
    async with workers.running():
        other = Watched(worker_programs.talk, workers.server_address, workers=1)
        with pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)):
            await other.serve_forever()
    with socket.create_server(workers.server_address):
        pass
    assert workers.events[-1].report == WorkersReport(workers=2, duration=workers.events[-1].report.duration)
