"""A peer that sends records without data, one upon the other: key updates, say."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import trio
import trio.testing

import trioserver
from trioserver._transports.deadlines import DeadlineWatch
from trioserver._transports.socket_stream import SocketStream
from trioserver._transports.tls import TLSEndpoint

from ..transports.kit import FakeEndpoint


class Flood(FakeEndpoint):
    """There is always more to receive."""

    def recv_nowait(self, max_bytes: int) -> bytes:
        """As much as was asked for."""
        return b"k" * max_bytes


class Silent:
    """An SSL object that takes all that it is given, and finds no data in it."""

    def __init__(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
        self.incoming = incoming
        self.most = 0

    def read(self, size: int) -> bytes:
        """Nothing."""
        self.most = max(self.most, self.incoming.pending)
        self.incoming.read()
        raise ssl.SSLWantReadError

    def pending(self) -> int:
        """Nothing."""
        return 0


async def test_records_without_data_put_off_no_timeout_and_come_in_small_portions(
    mock_clock: trio.testing.MockClock,
) -> None:
    """The wait ends when it is due, and between two looks OpenSSL has a record's length to work through."""
    silent: list[Any] = []

    def wrap(incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> Any:
        silent.append(Silent(incoming, outgoing))
        return silent[0]

    async with trio.open_nursery() as nursery:
        stream = SocketStream(Flood(), watch=DeadlineWatch(nursery.start_soon))
        tls = TLSEndpoint(stream._endpoint, wrap)
        stream._go_over_to(tls)
        tls.established = True
        stream.timeout = 1.0

        async def let_time_pass() -> None:
            for _ in range(12):
                await trio.lowlevel.checkpoint()
                mock_clock.jump(0.1)
            for _ in range(50):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()

        nursery.start_soon(let_time_pass)
        with pytest.raises(trioserver.StreamTimeout):
            await stream.receive_some()
        nursery.cancel_scope.cancel()
    assert stream.timeouts == (trioserver.Timeout.WAIT,)
    assert silent[0].most <= 16384 + 256 + 5
