"""A TLS stream keeps the contract of ``trio.abc.HalfCloseableStream``, on both ways to wait."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from harness import receive_all, receive_exactly

import trioserver
from trioserver._transports import tls

from .kit import tls_pair

if TYPE_CHECKING:
    from trioserver._transports.socket_stream import SocketStream

    from ..transports.kit import Wires
    from .kit import Certificates

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def clog(stream: SocketStream) -> None:
    """Send until the kernel takes no more; a short send is not yet a sign of that."""
    with pytest.raises(BlockingIOError):
        while True:
            stream._endpoint.send_nowait(bytes(65536))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["unix", "tcp"])
async def test_tls_stream_passes_trios_own_check(
    wires: Wires, certificates: Certificates, kind: str, version: ssl.TLSVersion
) -> None:
    """What trio checks of every half-closeable stream holds, half-closing included."""
    made = 0

    async def maker() -> tuple[SocketStream, SocketStream]:
        nonlocal made
        made += 1
        return await tls_pair(wires.pair(kind), certificates, version)

    async def clogged_maker() -> tuple[SocketStream, SocketStream]:
        # Not over TCP, which has a large window after the handshake, and goes on moving bytes over.
        near, far = await tls_pair(wires.pair("unix", small=True), certificates, version)
        for stream in (near, far):
            clog(stream)
        return near, far

    await trio.testing.check_half_closeable_stream(maker, clogged_maker)
    assert made > 0


@pytest.mark.parametrize("version", VERSIONS)
async def test_half_close_when_input_is_still_to_be_read_then_none_is_lost(
    wires: Wires, certificates: Certificates, version: ssl.TLSVersion
) -> None:
    """Input that has arrived, of which a part was read, and what comes later, is there after send_eof()."""
    near, far = await tls_pair(wires.pair("tcp"), certificates, version)
    sent = b"x" * 50_000
    await far.send_all(sent)
    got = await near.receive_some(10)
    await near.send_eof()
    assert await receive_all(far) == b""
    await far.send_all(b"more")
    await far.send_eof()
    assert got + await receive_all(near) == sent + b"more"
    with pytest.raises(trio.ClosedResourceError):
        await near.send_all(b"x")


async def test_both_directions_when_two_tasks_use_them_then_all_arrives(
    wires: Wires, certificates: Certificates
) -> None:
    """Megabytes each way at once, through small buffers, come over unchanged."""
    near, far = await tls_pair(wires.pair("tcp", small=True), certificates)
    data = bytes(range(256)) * 8192
    ended = []

    async def both(stream: SocketStream) -> None:
        async def read() -> None:
            assert await receive_exactly(stream, len(data)) == data
            ended.append("read")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, data)
            nursery.start_soon(read)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(both, near)
        nursery.start_soon(both, far)
    assert ended == ["read", "read"]
    assert near.bytes_sent == far.bytes_received == len(data)
    assert not near.unflushed


async def test_send_when_cancelled_then_no_byte_is_lost_or_repeated(
    wires: Wires, certificates: Certificates
) -> None:
    """Sent is what was encrypted: who goes on after that with the rest sends everything once."""
    near, far = await tls_pair(wires.pair("unix", small=True), certificates)
    data = bytes(range(256)) * 4096
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(near.send_all, data)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert 0 < near.bytes_sent < len(data)
    assert near.unflushed
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.send_all, data[near.bytes_sent :])
        assert await receive_exactly(far, len(data)) == data
    assert near.bytes_sent == len(data)


@pytest.mark.parametrize("size", [16384, 65536, 100_000])
@pytest.mark.parametrize("way", ["send_all", "write", "gathered"])
async def test_write_when_it_returns_then_the_kernel_has_all_of_it(
    wires: Wires, certificates: Certificates, size: int, way: str
) -> None:
    """P9: nothing stays in the TLS layer when a send has returned, be the buffer as small as it may."""
    near, far = await tls_pair(wires.pair("unix", small=True), certificates)
    writer = trioserver.StreamWriter(near, buffer_bytes=1_000_000 if way == "gathered" else 0)

    async def send() -> None:
        for _ in range(5):
            if way == "send_all":
                await near.send_all(bytes(size))
            else:
                await writer.write(bytes(size))
                await writer.flush()
            assert near._tls is not None
            assert not near._tls.unflushed
        await near.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        assert len(await receive_all(far)) == 5 * size


async def test_gathered_replies_when_there_is_no_room_then_the_flusher_sends_all_of_them(
    wires: Wires, certificates: Certificates
) -> None:
    """To a client that pipelines, and reads later: also what was encrypted and did not fit."""
    near, far = await tls_pair(wires.pair("unix", small=True), certificates)
    writer = trioserver.StreamWriter(near)
    await far.send_all(b"two requests")
    await near.fill()
    await writer.write(bytes(30_000))
    assert writer.pending == 30_000
    await trio.testing.wait_all_tasks_blocked()
    assert near.unflushed
    assert len(await receive_exactly(far, 30_000)) == 30_000
    await trio.testing.wait_all_tasks_blocked()
    assert not near.unflushed


@pytest.mark.parametrize("then", ["sleep", "wait_request", "receive_some"])
async def test_flush_when_cancelled_in_the_tls_layer_then_no_half_record_is_left_behind(
    wires: Wires, certificates: Certificates, then: str
) -> None:
    """Everything is encrypted, and a part of it sent: the rest does not wait for the next write."""
    near, far = await tls_pair(wires.pair("unix", small=True), certificates)
    writer = trioserver.StreamWriter(near, buffer_bytes=1_000_000)
    await writer.write(bytes(15_000))
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.flush)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert near.unflushed
    assert not writer.pending
    async with trio.open_nursery() as nursery:
        nursery.start_soon({"sleep": trio.sleep_forever}.get(then) or getattr(near, then))
        with trio.fail_after(5):
            assert await receive_exactly(far, 15_000) == bytes(15_000)
        nursery.cancel_scope.cancel()


async def test_receive_when_it_was_filled_by_whole_records_then_the_rest_is_not_waited_for(
    wires: Wires, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel tells but once that there is something; what was behind a full receive came with it."""
    near, far = await tls_pair(wires.pair("tcp"), certificates)
    assert far._tls is not None
    got: list[bytes] = []

    async def read() -> None:
        for _ in range(2):
            got.append(await near.receive_some())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        far._tls.ssl_object.write(b"1" * 1000)
        monkeypatch.setattr(tls, "FEED_BYTES", far._tls._outgoing.pending)
        far._tls.ssl_object.write(b"2" * 1000)
        far._tls._flush()
    assert got == [b"1" * 1000, b"2" * 1000]
