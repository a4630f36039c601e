"""Simulated Unix sockets: their namespace."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trioserver.testing import Network

from .sockets_kit import fails_with

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trio.testing import MockClock


WHOLE = os.path.abspath("s")


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    """A network."""
    with Network(1) as network:
        yield network


def unix(network: Network, host: str = "here", kind: int = socket.SOCK_STREAM) -> Any:
    """A Unix socket."""
    with network.host(host):
        return trio.socket.socket(socket.AF_UNIX, kind)


async def listener(network: Network, path: Any, host: str = "here", backlog: int = 10) -> Any:
    """One that listens."""
    sock = unix(network, host)
    await sock.bind(path)
    sock.listen(backlog)
    return sock


async def test_bind_when_done_then_there_is_no_file(
    network: Network, autojump_clock: MockClock, tmp_path: Path
) -> None:
    """Nor need the directory exist; a file that is there is in nobody's way."""
    await listener(network, tmp_path / "s")
    await listener(network, tmp_path / "no" / "such" / "folder")
    (tmp_path / "file").touch()
    await listener(network, tmp_path / "file")
    assert os.listdir(tmp_path) == ["file"]


async def test_path_when_on_another_host_then_it_is_another_socket(
    network: Network, autojump_clock: MockClock
) -> None:
    """Each host has its own; none reaches those of others."""
    for host in ("here", "there"):
        await listener(network, "/run/s", host)
    await unix(network, "here").connect("/run/s")
    with fails_with(errno.ENOENT):
        await unix(network, "elsewhere").connect("/run/s")


async def test_path_when_written_differently_then_it_is_the_same(
    network: Network, autojump_clock: MockClock
) -> None:
    """Relative, absolute, as bytes or as a path; its socket calls it what it was bound to."""
    server = await listener(network, "s")
    assert server.getsockname() == "s"
    for name in [WHOLE, WHOLE.encode(), "./x/../s", trio.Path("s")]:
        client = unix(network)
        await client.connect(name)
        assert client.getpeername() == "s"


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_path_when_its_socket_is_closed_then_it_is_free(
    network: Network, autojump_clock: MockClock, kind: int
) -> None:
    """Unlike a file, which stays: nothing is ever stale here."""
    for _ in range(2):
        sock = unix(network, kind=kind)
        await sock.bind("s")
        with fails_with(errno.EADDRINUSE):
            await unix(network).bind("s")
        sock.close()
    with fails_with(errno.ENOENT):
        await unix(network, kind=kind).connect("s")


async def test_accepted_socket_when_closed_then_the_path_stays_the_listeners(
    network: Network, autojump_clock: MockClock
) -> None:
    """Though it has the same name."""
    server = await listener(network, "s")
    await unix(network).connect("s")
    accepted, _ = await server.accept()
    assert accepted.getsockname() == "s"
    accepted.close()
    await unix(network).connect("s")


async def test_crash_when_restarted_then_the_paths_are_free(
    network: Network, autojump_clock: MockClock
) -> None:
    """All that a host knows of its sockets is gone."""
    server = await listener(network, "s")
    client = unix(network)
    await client.connect("s")
    network.host("here").crash()
    network.host("here").restart()
    assert (server.fileno(), client.fileno()) == (-1, -1)
    await listener(network, "s")


async def test_path_when_too_long_then_an_error(network: Network, autojump_clock: MockClock) -> None:
    """As of the kernel's, so that a test finds it."""
    await unix(network).bind("x" * 107)
    with pytest.raises(OSError, match="path too long"):
        await unix(network).bind("x" * 108)


async def test_sendto_when_the_receivers_queue_is_full_then_it_waits_without_spinning(
    network: Network, autojump_clock: MockClock
) -> None:
    """Virtual time goes on meanwhile; on Linux one that is not connected has to try again and again."""
    receiver, sender = (unix(network, kind=socket.SOCK_DGRAM) for _ in range(2))
    await receiver.bind("s")
    done_at = []

    async def send() -> None:
        for number in range(13):
            await sender.sendto(b"%d" % number, "s")
        done_at.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await trio.sleep(10)
        assert not done_at
        got = [await receiver.recv(10) for _ in range(13)]
    assert got == [b"%d" % number for number in range(13)]
    assert done_at == [10]


async def test_sendto_when_the_receiver_is_closed_meanwhile_then_an_error(
    network: Network, autojump_clock: MockClock
) -> None:
    """Who waits for room is told."""
    receiver, sender = (unix(network, kind=socket.SOCK_DGRAM) for _ in range(2))
    await receiver.bind("s")
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def send() -> None:
            with fails_with(errno.ENOENT):
                while True:
                    await sender.sendto(b"x", "s")

        await trio.sleep(1)
        receiver.close()
