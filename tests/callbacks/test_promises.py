"""The promises in place, whatever is cancelled or interrupted, and whenever."""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import Any

import pytest
import trio
import trio.testing
from ctrl_c import CtrlC, run_until_ctrl_c
from harness import Recorder, client_of, receive_exactly
from hypothesis import given, settings
from hypothesis import strategies as st

import trioserver
from tests.promises.fakes import AtStep, receive_until_closed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it needs an epoll")

OURS = (
    "_engine/callbacks.py",
    "_engine/accept.py",
    "_engine/serve.py",
    "_transports/callback_link.py",
    "_transports/callback_poller.py",
    "_transports/callback_socket.py",
    "_transports/callback_stream.py",
)


class Handler(trioserver.CallbackRequestHandler):
    """Counts those that are set up and not finished."""

    delimiter = b"\n"
    undone = 0

    def setup(self) -> None:
        Handler.undone += 1

    def data_received(self, data: bytes) -> None:
        self.write(data)
        if data == b"fail\n":
            raise ValueError(data)

    def finish(self) -> None:
        Handler.undone -= 1


class Server(trioserver.TCPServer):
    """Has a pause in its report of an error."""

    async def handle_error(self, request: Any, client_address: Any) -> None:
        await trio.lowlevel.checkpoint()


async def talk(address: Any, line: bytes) -> None:
    """One client: sends a line; reads the reply and leaves, or reads until the server closes."""
    with trio.socket.socket() as sock, contextlib.suppress(OSError):
        await sock.connect(address)
        await sock.send(line)
        while await sock.recv(100) and line == b"fail\n":
            pass


def assert_accounted(server: trioserver.TCPServer, recorder: Recorder) -> None:
    """P1 and P3, when it has stopped."""
    numbers = server.statistics()
    assert Handler.undone == 0
    assert server.requests == ()
    assert numbers.accepted == numbers.finished + numbers.failed + numbers.cancelled
    assert numbers.accepted == recorder.names().count("RequestEnded")
    assert recorder.names()[-1] == "ServerStopped"


async def run_once(what: str, k: int) -> int:
    """Serve two clients and shut down, cancelling at step k; returns how many steps there were."""
    Handler.undone = 0
    server = Server(("127.0.0.1", 0), Handler)
    server.add_observer(recorder := Recorder())
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
    tasks_before = trio.lowlevel.current_statistics().tasks_living

    async def serve(task_status: trio.TaskStatus[Any]) -> None:
        with serving:
            await server.serve_forever(task_status=task_status)

    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve)
        trio.lowlevel.add_instrument(steps)
        async with trio.open_nursery() as clients:
            clients.start_soon(talk, address, b"hello\n")
            clients.start_soon(talk, address, b"fail\n")
        with shutting_down:
            await server.shutdown(None)
        trio.lowlevel.remove_instrument(steps)
    assert trio.lowlevel.current_statistics().tasks_living == tasks_before
    assert_accounted(server, recorder)
    return steps.count


@pytest.mark.parametrize("what", ["server", "request", "shutdown", "request_shutdown"])
async def test_p1_p3_nothing_is_lost_when_it_is_cancelled_at_any_step(what: str) -> None:
    """For k = 1, 2, 3, ... until a run has fewer steps: all is closed, finished and counted."""
    k = 1
    while await run_once(what, k) >= k:
        k += 1
    assert k > 10


def test_p2_nothing_is_lost_when_ctrl_c_comes_at_any_line() -> None:
    """Of the code that serves, and of the handler, which it interrupts: all is closed and counted."""

    async def main(ctrl_c: CtrlC, server: trioserver.TCPServer) -> None:
        # Not in the main task: that one gets the interrupts of protected code, at a checkpoint of its own.
        async with server.running():
            async with client_of(server) as first, client_of(server) as second:
                sys.settrace(ctrl_c)
                try:
                    for client in (first, second):
                        with contextlib.suppress(trio.BrokenResourceError):
                            await client.send_all(b"fail\n" if client is first else b"one\ntwo\n")
                            await client.send_eof()
                        await receive_until_closed(client)
                    await server.shutdown(None)
                finally:
                    sys.settrace(None)

    k = interrupted = lines = 0
    while lines >= k:
        k += 1
        Handler.undone = 0
        server = Server(("127.0.0.1", 0), Handler)
        server.add_observer(recorder := Recorder())
        ctrl_c = CtrlC(k, (*OURS, "test_promises.py"))
        interrupted += run_until_ctrl_c(ctrl_c, main, server)
        lines = ctrl_c.lines
        numbers = server.statistics()
        assert numbers.active == 0
        assert numbers.accepted == numbers.finished + numbers.failed + numbers.cancelled
        assert recorder.names().count("RequestEnded") == numbers.accepted
        assert recorder.names()[-1] == "ServerStopped"
    assert interrupted > 50


def test_ctrl_c_when_a_handler_never_returns_then_it_is_interrupted() -> None:
    """Though nothing else in the program runs."""

    class Stuck(trioserver.CallbackRequestHandler):
        def data_received(self, data: bytes) -> None:
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("it was not interrupted")

    server = trioserver.TCPServer(("127.0.0.1", 0), Stuck)

    async def main() -> None:
        async with server.running(), client_of(server) as client:
            await client.send_all(b"x")
            await receive_until_closed(client)
            await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert server.statistics().failed == 1


steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["connect", "send", "fail", "half", "eof", "reset", "push", "close", "cancel", "turn"]
        ),
        st.integers(0, 3),
    ),
    max_size=25,
)


@given(
    history=steps,
    grace=st.sampled_from([0.0, 0.001, None]),
    limit=st.none() | st.integers(1, 3),
    how=st.sampled_from(["shutdown", "cancel"]),
)
@settings(max_examples=80)
def test_p1_p3_every_connection_is_counted_once_whatever_happens(
    history: list[tuple[str, int]], grace: float | None, limit: int | None, how: str
) -> None:
    """Clients and the program do what they like, in any order."""
    handlers: list[Handler] = []

    class Kept(Handler):
        def setup(self) -> None:
            super().setup()
            handlers.append(self)

    async def main() -> None:
        Handler.undone = 0
        server = Server(("127.0.0.1", 0), Kept, max_requests=limit)
        server.add_observer(recorder := Recorder())
        clients: list[trio.SocketStream] = []
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            for what, number in history:
                client = clients[number % len(clients)] if clients else None
                handler = handlers[number % len(handlers)] if handlers else None
                with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError, OSError):
                    if what == "connect":
                        clients.append(await trio.open_tcp_stream(*server.server_address))
                    elif what == "turn":
                        await trio.lowlevel.checkpoint()
                    elif what == "cancel":
                        for record in server.requests[:number]:
                            record.cancel()
                    elif what == "push" and handler is not None:
                        handler.write(b"push")
                    elif what == "close" and handler is not None:
                        handler.close()
                    elif client is not None:
                        if what == "eof":
                            await client.send_eof()
                        elif what == "reset":
                            await client.aclose()
                        elif what in ("send", "fail", "half"):
                            await client.send_all(
                                {"send": b"x\n" * 100, "fail": b"fail\n", "half": b"x"}[what]
                            )
            for client in clients:
                await client.aclose()
            if how == "shutdown":
                await server.shutdown(grace)
            else:
                nursery.cancel_scope.cancel()
        assert_accounted(server, recorder)

    trio.run(main)


async def test_p10_when_others_pipeline_without_pause_then_each_has_its_turn() -> None:
    """A line of a polite client waits for at most so many of each of the others."""
    order: list[bytes] = []

    class Noting(trioserver.CallbackRequestHandler):
        delimiter = b"\n"

        def data_received(self, data: bytes) -> None:
            order.append(data)
            self.write(data)

    async with trioserver.TCPServer(("127.0.0.1", 0), Noting).running() as server:
        async with client_of(server) as greedy, client_of(server) as polite, trio.open_nursery() as nursery:
            nursery.start_soon(greedy.send_all, b"greedy\n" * 20_000)
            nursery.start_soon(receive_exactly, greedy, 7 * 20_000)
            for _ in range(20):
                begun = len(order)
                await polite.send_all(b"polite\n")
                assert await receive_exactly(polite, 7) == b"polite\n"
                assert order[begun:].index(b"polite\n") <= 4 * 64
    assert len(order) == 20_020


async def test_p10_when_it_is_cancelled_among_busy_clients_then_it_ends_at_once() -> None:
    """A server that is never idle feels its cancellation all the same."""
    async with trio.open_nursery() as nursery:
        server = Server(("127.0.0.1", 0), Handler)
        await nursery.start(server.serve_forever)
        async with client_of(server) as client:

            async def send() -> None:
                with contextlib.suppress(trio.BrokenResourceError):
                    while True:
                        await client.send_all(b"x\n" * 10_000)

            nursery.start_soon(send)
            assert await receive_exactly(client, 20_000)
            with trio.fail_after(10):
                report = await server.shutdown()
            nursery.cancel_scope.cancel()
    assert (report.accepted, report.cancelled) == (1, 1)
