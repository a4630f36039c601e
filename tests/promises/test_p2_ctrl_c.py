"""P2: Ctrl-C drops no connection either, wherever it strikes."""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import Any

import pytest
import trio
import trio.testing
from ctrl_c import CtrlC, run_until_ctrl_c
from harness import Recorder, client_of

import trioserver

from .fakes import QueueServer, assert_accounted, forever, receive_until_closed

ENGINE = (
    "_engine/serve.py",
    "_engine/accept.py",
    "_engine/engine.py",
    "_engine/requests.py",
    "_engine/idle_tasks.py",
)


def test_p2_nothing_is_lost_when_ctrl_c_comes_at_any_line_of_the_engine() -> None:
    """Wherever in the engine's code it strikes, connections are closed and counted, and it comes out bare."""

    class Quiet(trioserver.TCPServer):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        if await request.receive_some(1) == b"x":
            raise ValueError("handled")

    async def main(ctrl_c: CtrlC, server: trioserver.TCPServer) -> None:
        # Not in the main task: that one gets the interrupts of protected code, at a checkpoint of its own.
        async with server.running():
            async with client_of(server) as first, client_of(server) as second:
                sys.settrace(ctrl_c)
                try:
                    for client in (first, second):
                        with contextlib.suppress(trio.BrokenResourceError):
                            await client.send_all(b"x" if client is first else b"y")
                        await receive_until_closed(client)
                    await server.shutdown(None)
                finally:
                    sys.settrace(None)

    k = interrupted = 0
    lines = 0
    while lines >= k:
        k += 1
        server = Quiet(("127.0.0.1", 0), handler)
        server.add_observer(recorder := Recorder())
        ctrl_c = CtrlC(k, ENGINE)
        interrupted += run_until_ctrl_c(ctrl_c, main, server)
        lines = ctrl_c.lines
        statistics = server.statistics()
        assert statistics.active == 0
        assert statistics.accepted == statistics.finished + statistics.failed + statistics.cancelled
        assert recorder.names().count("RequestEnded") == statistics.accepted
        assert recorder.names()[-1] == "ServerStopped"
    assert interrupted > 50


@pytest.mark.parametrize("waiting", [True, False])
def test_p2_ctrl_c_in_the_accept_loop_stops_the_server_between_two_requests(waiting: bool) -> None:
    """Ctrl-C while `get_request` runs ends `serve_forever` with KeyboardInterrupt and loses no request."""

    class Interrupted(QueueServer):
        async def get_request(self) -> tuple[Any, Any]:
            taken = await super().get_request()
            signal.raise_signal(signal.SIGINT)  # after it was taken: the worst moment
            return taken

    server = Interrupted(forever)
    if not waiting:
        server.put(1)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(put)
            await server.serve_forever()

    async def put() -> None:
        if waiting:
            await trio.testing.wait_all_tasks_blocked()
            server.put(1)

    with pytest.raises((KeyboardInterrupt, BaseExceptionGroup)) as caught:
        trio.run(main)
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, KeyboardInterrupt)
    assert server.taken == [1]
    assert_accounted(server)


@pytest.mark.parametrize("cls", [trioserver.TCPServer, trioserver.UDPServer])
def test_p1_when_ctrl_c_comes_at_any_line_of_a_servers_run_then_its_socket_is_closed(cls: Any) -> None:
    """What the run has opened it closes, so that the server can be served again."""

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        pass

    async def main(ctrl_c: CtrlC | None, server: Any) -> None:
        before = sys.gettrace()
        async with server.running():
            sys.settrace(ctrl_c or before)
            try:
                await server.shutdown()
            finally:
                sys.settrace(before)

    k = interrupted = lines = 0
    while lines >= k:
        k += 1
        server = cls(("127.0.0.1", 0), handler)
        ctrl_c = CtrlC(k, ("_servers/base.py", "_servers/datagram.py", "_transports/datagram_group.py"))
        interrupted += run_until_ctrl_c(ctrl_c, main, server)
        lines = ctrl_c.lines
        assert server.fileno() == -1
        trio.run(main, None, server)
    assert interrupted > 5
