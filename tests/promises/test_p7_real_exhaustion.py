"""P7: a process that really runs out of descriptors goes on serving, and serves again when there are some."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
from harness import Recorder, client_of, receive_exactly, wait_until

import trioserver

if TYPE_CHECKING:
    from collections.abc import Iterator

resource = pytest.importorskip("resource")


@pytest.fixture
def few_descriptors() -> Iterator[int]:
    """RLIMIT_NOFILE is low for the length of a test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = 40 + max(int(name) for name in os.listdir("/dev/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield limit
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Counting(trioserver.TCPServer):
    """Counts how often it tries to accept."""

    calls = 0

    async def get_request(self) -> tuple[trioserver.RequestStream, Any]:
        self.calls += 1
        return await super().get_request()


async def test_p7_a_server_survives_a_real_emfile_without_spinning(
    few_descriptors: int, io_path: str
) -> None:
    """With no descriptor left accept pauses; those connected are served, and later the one that waits."""

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        while data := await request.receive_some(100):
            await request.send_all(data)

    recorder = Recorder()
    server = Counting(("127.0.0.1", 0), handler)
    server.add_observer(recorder)
    async with server.running():
        async with client_of(server) as first, client_of(server) as second:
            await wait_until(lambda: len(server.requests) == 2)
            waiting = trio.socket.socket()
            hoard: list[int] = []
            try:
                while True:
                    hoard.append(os.dup(0))
            except OSError:
                pass
            calls = server.calls
            try:
                with waiting:
                    await waiting.connect(server.server_address)
                    await wait_until(lambda: "AcceptPaused" in recorder.names())
                    await trio.sleep(0.05)
                    # At 0, 10, 30 and 70 ms at most, and one for luck: not thousands.
                    assert server.calls - calls <= 5
                    assert server.statistics().accepted == 2
                    for client in (first, second):
                        await client.send_all(b"served")
                        assert await receive_exactly(client, 6) == b"served"
                    os.close(hoard.pop())
                    os.close(hoard.pop())
                    await waiting.send(b"me too")
                    assert await waiting.recv(100) == b"me too"
            finally:
                for fd in hoard:
                    os.close(fd)
    pauses = [name for name in recorder.names() if name.startswith("Accept")]
    assert pauses == ["AcceptPaused", "AcceptResumed"]
    (paused,) = (event for event in recorder.events if isinstance(event, trioserver.AcceptPaused))
    assert paused.reason == "EMFILE"
    statistics = server.statistics()
    assert 1 <= statistics.accept_errors <= 6
    assert statistics.accepted == 3


@pytest.mark.skipif(sys.platform != "linux", reason="epoll exists on Linux only")
def test_p7_a_server_that_can_not_open_its_epoll_says_so(few_descriptors: int) -> None:
    """Without a descriptor to begin with it raises what the system said, and leaves nothing open."""
    hoard: list[int] = []

    async def main() -> None:
        server = trioserver.TCPServer(("127.0.0.1", 0), trioserver.StreamRequestHandler, False)
        await server.server_bind()
        await server.server_activate()
        try:
            while True:
                hoard.append(os.dup(0))
        except OSError:
            pass
        try:
            server.portable_io = False
            with pytest.raises(OSError, match="Too many open files"):
                await server.serve_forever()
        finally:
            for fd in hoard:
                os.close(fd)
            await server.server_close()
        assert server.state is trioserver.State.CLOSED

    trio.run(main)
    assert hoard
