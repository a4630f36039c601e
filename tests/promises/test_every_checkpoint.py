"""Cancel at every step of a served connection: nothing is lost, nothing is left, the counts add up."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from harness import Recorder, wait_until
from hypothesis import given, settings
from hypothesis import strategies as st

import trioserver

from .fakes import AtStep, QueueServer, assert_accounted


class KeepAlive(trioserver.StreamRequestHandler):
    """Has a clean-up that waits, and counts those that are not done."""

    undone = 0

    async def setup(self) -> None:
        await super().setup()
        KeepAlive.undone += 1

    async def handle(self) -> None:
        while await self.wait_request():
            line = await self.rfile.readline()
            await self.wfile.write(line)
            if line == b"fail\n":
                raise ValueError(line)

    async def finish(self) -> None:
        try:
            await super().finish()
            await trio.lowlevel.checkpoint()
        finally:
            KeepAlive.undone -= 1


class Server(trioserver.TCPServer):
    """Counts what it accepted; each of its hooks is a few checkpoints long."""

    accepted = 0

    async def get_request(self) -> tuple[trioserver.RequestStream, Any]:
        taken = await super().get_request()
        self.accepted += 1
        return taken

    async def verify_request(self, request: trioserver.RequestStream, client_address: Any) -> bool:
        await trio.lowlevel.checkpoint()
        return True

    async def handle_error(self, request: trioserver.RequestStream, client_address: Any) -> None:
        await trio.lowlevel.checkpoint()


async def talk(address: Any, line: bytes) -> None:
    """One client: sends a line; reads the reply and leaves, or reads until the server closes."""
    with trio.socket.socket() as sock:
        try:
            await sock.connect(address)
            await sock.send(line)
            while await sock.recv(100) and line == b"fail\n":
                pass
        except OSError:
            pass  # the server is gone, or was about to


async def run_once(what: str, k: int) -> int:
    """Serve two clients and shut down, cancelling at step k; returns how many steps there were."""
    KeepAlive.undone = 0
    recorder = Recorder()
    server = Server(("127.0.0.1", 0), KeepAlive)
    server.add_observer(recorder)
    serving, shutting_down = trio.CancelScope(), trio.CancelScope()

    def cancel() -> None:
        if what == "server":
            serving.cancel()
        elif what == "request":
            for record in server.requests[:1]:
                record.cancel()
        elif what == "shutdown":
            shutting_down.cancel()
        elif what == "request_shutdown":
            server.request_shutdown(None)

    steps = AtStep(k, cancel)
    reports: list[trioserver.ShutdownReport] = []
    tasks_before = trio.lowlevel.current_statistics().tasks_living

    async def serve(task_status: trio.TaskStatus[Any]) -> None:
        with serving:
            await server.serve_forever(task_status=task_status)
        assert KeepAlive.undone == 0
        assert server.sockets == ()

    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve)
        trio.lowlevel.add_instrument(steps)
        async with trio.open_nursery() as clients:
            clients.start_soon(talk, address, b"hello\n")
            clients.start_soon(talk, address, b"fail\n")
        with shutting_down:
            reports.append(await server.shutdown(None))
        trio.lowlevel.remove_instrument(steps)
    assert trio.lowlevel.current_statistics().tasks_living == tasks_before
    assert server.requests == ()
    statistics = server.statistics()
    assert statistics.accepted == server.accepted == recorder.names().count("RequestEnded")
    assert statistics.accepted == statistics.finished + statistics.failed + statistics.cancelled
    assert recorder.names()[-1] == "ServerStopped"
    assert recorder.names().count("ServerDraining") == 1
    assert len(reports) == (not shutting_down.cancelled_caught)
    return steps.count


@pytest.mark.parametrize("what", ["server", "request", "shutdown", "request_shutdown"])
async def test_nothing_is_lost_when_it_is_cancelled_at_any_step(io_path: str, what: str) -> None:
    """For k = 1, 2, 3, ... until a run has fewer steps: all is closed and counted, and nothing left."""
    k = 1
    while await run_once(what, k) >= k:
        k += 1
    assert k > 20


@given(
    turns=st.lists(st.integers(0, 4), min_size=6, max_size=6),
    cancel_at=st.integers(1, 150),
    what=st.sampled_from(["server", "request", "shutdown", "all"]),
    count=st.integers(1, 8),
    limit=st.none() | st.integers(1, 3),
)
@settings(max_examples=150)
def test_nothing_is_lost_in_random_schedules(
    turns: list[int], cancel_at: int, what: str, count: int, limit: int | None
) -> None:
    """With hooks of any length, and any of the tasks cancelled at any step, the counts add up."""
    verify, handle, error, closing, putting, service = turns

    async def pause(checkpoints: int) -> None:
        for _ in range(checkpoints):
            await trio.lowlevel.checkpoint()

    class Slow(QueueServer):
        async def verify_request(self, request: int, client_address: Any) -> bool:
            await pause(verify)
            return request % 4 != 1

        async def handle_error(self, request: int, client_address: Any) -> None:
            await pause(error)

        async def shutdown_request(self, request: int) -> None:
            try:
                await pause(closing)
            finally:
                await self.close_request(request)

        async def service_actions(self) -> None:
            await pause(service)

    async def handler(request: int, client_address: Any, server: Any) -> None:
        await pause(handle)
        if request % 3 == 0:
            raise ValueError(request)

    async def main() -> None:
        server = Slow(handler, max_requests=limit)
        serving, shutting_down = trio.CancelScope(), trio.CancelScope()

        def cancel() -> None:
            if what in ("server", "all"):
                serving.cancel()
            if what in ("request", "all"):
                for record in server.requests[::2]:
                    record.cancel()
            if what in ("shutdown", "all"):
                shutting_down.cancel()

        async def serve(task_status: trio.TaskStatus[Any]) -> None:
            with serving:
                await server.serve_forever(task_status=task_status)

        async with trio.open_nursery() as nursery:
            await nursery.start(serve)
            trio.lowlevel.add_instrument(AtStep(cancel_at, cancel))
            for number in range(count):
                server.put(number)
                await pause(putting)
            if not serving.cancel_called and what != "server":
                await wait_until(lambda: len(server.closed) == count or serving.cancel_called)
            with shutting_down:
                await server.shutdown(None)
        assert_accounted(server)

    trio.run(main)
