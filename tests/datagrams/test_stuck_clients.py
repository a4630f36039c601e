"""A client that does not read, on a socket where the kernel says "writable" all the same."""

from __future__ import annotations

from typing import Any

import trio
import trio.testing

from trioserver._transports.datagram_losses import LossCounts
from trioserver._transports.datagram_socket import DatagramSocket

from .kit import CLIENT, OTHER, FakeDatagramEndpoint


class Unix(FakeDatagramEndpoint):
    """Waiting for room ends at once; only one client's queue is full."""

    full = True

    def sendto_nowait(self, data: Any, address: Any) -> int:
        """No room for that client."""
        if self.full and address == CLIENT:
            self.sends += 1
            raise BlockingIOError(11, "no room")
        return super().sendto_nowait(data, address)


async def test_many_replies_to_a_client_that_does_not_read_are_polled_for_by_one_task(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """So it costs the same whatever it has asked for; and in the end it gets all, in order."""
    endpoint = Unix()
    sock = DatagramSocket(endpoint, LossCounts())
    async with trio.open_nursery() as nursery:
        for n in range(100):
            nursery.start_soon(sock.sendto, b"%d" % n, CLIENT)
        await trio.sleep(1)
        before = endpoint.sends
        await trio.sleep(10)
        assert endpoint.sends - before <= 10 / 0.05 + 1
        await sock.sendto(b"other", OTHER)
        assert endpoint.sent == [(b"other", OTHER)]
        endpoint.full = False
    assert len(endpoint.sent) == 101


async def test_who_polls_when_cancelled_or_closed_then_the_others_go_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The next one polls; closing wakes all."""
    endpoint = Unix()
    sock = DatagramSocket(endpoint, LossCounts())
    closed = 0

    async def send(scope: trio.CancelScope) -> None:
        nonlocal closed
        with scope:
            try:
                await sock.sendto(b"x", CLIENT)
            except trio.ClosedResourceError:
                closed += 1

    scopes = [trio.CancelScope() for _ in range(9)]
    async with trio.open_nursery() as nursery:
        for scope in scopes:
            nursery.start_soon(send, scope)
        await trio.sleep(1)
        for scope in scopes[:3]:
            scope.cancel()
        await trio.sleep(1)
        scopes[8].cancel()
        sends = endpoint.sends
        await trio.sleep(1)
        assert endpoint.sends > sends
        sock.close()
        endpoint.full = False
    assert closed == 5
    assert not sock._stuck
