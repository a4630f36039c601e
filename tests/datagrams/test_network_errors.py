"""What the network reports never stops a server: ICMP errors, and clients that are gone."""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

import trioserver

from .kit import CLIENT, client_of, echo, memory_network, settle

if TYPE_CHECKING:
    from pathlib import Path

IP_RECVERR = 11  # ip(7); Python's socket has it from 3.14 on


def vanished() -> tuple[str, int]:
    """An address on which nobody listens any more."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        name: tuple[str, int] = sock.getsockname()
        return name


@pytest.mark.skipif(sys.platform != "linux", reason="IP_RECVERR is Linux's")
async def test_icmp_when_port_unreachable_then_the_server_goes_on_and_does_not_spin() -> None:
    """With IP_RECVERR the kernel reports on the server's socket that a client is gone; P7."""
    gone = vanished()

    async def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        for _ in range(5):
            await request.socket.sendto(b"anybody?", gone)
        await request.socket.sendto(request.data, client_address)

    server = trioserver.UDPServer(("127.0.0.1", 0), handler)
    async with server:
        server.socket.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        async with server.running(), client_of(server) as client:
            for number in range(20):
                assert await client.ask(b"%d" % number) == b"%d" % number
            with trio.fail_after(5):
                await settle()  # which it never does if something spins
            steps = Steps()
            trio.lowlevel.add_instrument(steps)
            with trio.move_on_after(0.02):
                await trio.sleep_forever()
            trio.lowlevel.remove_instrument(steps)
            assert steps.count < 20
            assert await client.ask(b"still there?") == b"still there?"
    statistics = server.statistics()
    assert (statistics.failed, statistics.finished) == (0, 21)


class Steps(trio.abc.Instrument):
    """Counts the steps of all tasks."""

    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """One more."""
        self.count += 1


@pytest.mark.parametrize(
    "number", [errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EMSGSIZE]
)
async def test_receive_when_it_reports_a_peer_then_the_next_datagram_is_taken(number: int) -> None:
    """However many such errors there are; they are counted. (Windows reports ``ECONNRESET`` as a rule.)"""
    with memory_network() as network:
        async with trioserver.UDPServer(("192.0.2.1", 5), echo).running() as server:
            network.endpoint.fail(*[OSError(number, os.strerror(number)) for _ in range(100)])
            network.endpoint.feed(b"hello")
            await settle()
            assert network.endpoint.sent == [(b"hello", CLIENT)]
            assert server.statistics().accept_errors == 100


async def test_receive_when_the_socket_is_broken_then_the_server_stops_with_that() -> None:
    """What is not news of a peer is raised as it is."""
    with memory_network() as network:
        with pytest.raises(OSError, match="broken"):
            async with trioserver.UDPServer(("192.0.2.1", 5), echo).running():
                network.endpoint.fail(OSError(errno.ENOTCONN + 1000, "broken"))
                await trio.sleep_forever()


async def test_receive_when_out_of_memory_then_the_server_waits_and_goes_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """P7, as for ``accept``."""
    with memory_network() as network:
        async with trioserver.UDPServer(("192.0.2.1", 5), echo).running():
            network.endpoint.fail(OSError(errno.ENOMEM, ""), OSError(errno.ENOBUFS, ""))
            network.endpoint.feed(b"hello")
            await trio.sleep(0.029)
            assert network.endpoint.sent == []
            await trio.sleep(0.002)
            assert network.endpoint.sent == [(b"hello", CLIENT)]


class Upper(trioserver.DatagramRequestHandler):
    """Replies."""

    async def handle(self) -> None:
        self.wfile.write(self.packet.upper())


class UpperInPlace(trioserver.DatagramRequestHandler):
    """The same without a task."""

    def handle(self) -> None:
        self.wfile.write(self.packet.upper())


@pytest.mark.parametrize("handler", [Upper, UpperInPlace])
async def test_reply_when_the_unix_client_is_gone_then_one_debug_line(
    handler: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that does not wait for its reply is no error and no traceback, as it is in the stdlib."""
    path = tmp_path / "c"
    server = trioserver.UnixDatagramServer(tmp_path / "s", handler)
    with caplog.at_level(logging.DEBUG, "trioserver"):
        async with server:
            async with client_of(server, name=str(path)) as client:
                await client.send(b"one")
                path.unlink()
            async with server.running():
                while server.statistics().finished < 1:
                    await trio.lowlevel.checkpoint()
    (record,) = caplog.records
    assert (record.name, record.levelno, record.exc_info) == ("trioserver", logging.DEBUG, None)
    assert record.getMessage().startswith(f"Reply to {path}: FileNotFoundError")


@pytest.mark.parametrize("handler", [Upper, UpperInPlace])
@pytest.mark.parametrize(
    "number", [errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EPERM, errno.ENOENT]
)
async def test_reply_when_the_peer_can_not_be_reached_then_the_request_has_not_failed(
    number: int, handler: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the kernel says of it."""
    caplog.set_level(logging.INFO, "trioserver")
    with memory_network() as network:
        async with trioserver.UDPServer(("192.0.2.1", 5), handler).running() as server:
            network.endpoint.send_errors.extend(OSError(number, os.strerror(number)) for _ in range(2))
            network.endpoint.feed(b"hello")
            await settle()
            assert server.statistics().finished == 1
    assert caplog.records == []


@pytest.mark.parametrize("handler", [Upper, UpperInPlace])
async def test_reply_when_too_long_then_is_an_error_of_the_handler(
    handler: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It goes to ``handle_error``: nobody else is to blame."""
    with memory_network() as network:
        async with trioserver.UDPServer(("192.0.2.1", 5), handler).running() as server:
            network.endpoint.send_errors.append(OSError(errno.EMSGSIZE, "Message too long"))
            network.endpoint.feed(b"hello")
            await settle()
            assert server.statistics().failed == 1
    (record,) = caplog.records
    assert record.levelno == logging.ERROR


async def test_sendto_when_a_handler_calls_it_and_the_client_is_gone_then_raises_there(
    tmp_path: Path,
) -> None:
    """What to make of it is the handler's business."""
    caught: list[OSError] = []

    async def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        try:
            await request.socket.sendto(b"", str(tmp_path / "nobody"))
        except FileNotFoundError as error:
            caught.append(error)

    server = trioserver.UnixDatagramServer(tmp_path / "s", handler)
    async with server.running(), client_of(server) as client:
        await client.send(b"hello")
        while not caught:
            await trio.lowlevel.checkpoint()
