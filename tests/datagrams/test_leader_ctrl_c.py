"""P2: Ctrl-C loses no datagram that was taken, wherever it strikes in the leader's code."""

from __future__ import annotations

import sys
from typing import Any

import trio
from ctrl_c import CtrlC

import trioserver

from .kit import memory_network, settle

LEADERS = ("_engine/lead.py", "_engine/leader.py", "_engine/first_step.py")


def test_p2_no_datagram_is_lost_when_ctrl_c_comes_at_any_line_of_the_leader() -> None:
    """Each one that was taken is counted, and the interrupt comes out bare."""

    class Quiet(trioserver.UDPServer):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    async def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        if request.data == b"waits":
            await trio.lowlevel.checkpoint()
        elif request.data == b"fails":
            raise ValueError("handled")

    async def main(ctrl_c: CtrlC, server: trioserver.UDPServer, taken: list[int]) -> None:
        with memory_network() as network:
            try:
                async with server.running():  # not in the main task, which gets what hits protected code
                    await settle()
                    sys.settrace(ctrl_c)
                    try:
                        network.endpoint.feed(b"one", b"two", b"fails", b"waits", b"three")
                        await settle()
                        await server.shutdown(None)
                    finally:
                        sys.settrace(None)
            finally:
                taken.append(5 - network.endpoint.left)

    k = interrupted = lines = 0
    while lines >= k:
        k += 1
        server = Quiet(("192.0.2.1", 5), handler)
        ctrl_c = CtrlC(k, LEADERS)
        taken: list[int] = []
        before = sys.gettrace()
        try:
            trio.run(main, ctrl_c, server, taken)
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            sys.settrace(before)
        lines = ctrl_c.lines
        statistics = server.statistics()
        assert statistics.active == 0
        assert statistics.accepted == statistics.finished + statistics.failed + statistics.cancelled
        assert statistics.accepted == taken[0]
    assert interrupted > 50
