"""A receive can stop short of what is there: what is behind must be read all the same, on both I/O paths."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import trio
from harness import Echo, client_of, receive_exactly

import trioserver

if TYPE_CHECKING:
    from pathlib import Path


async def test_stream_when_urgent_data_comes_between_then_the_rest_is_read(io_path: str) -> None:
    """TCP stops a receive at the urgent mark."""
    server = trioserver.TCPServer(("127.0.0.1", 0), Echo)
    async with server.running(), client_of(server) as client:
        await client.send_all(b"one\n")
        assert await receive_exactly(client, 4) == b"one\n"
        await client.send_all(b"abc")
        await client.socket.send(b"!", socket.MSG_OOB)
        await client.send_all(b"def\n")
        assert await receive_exactly(client, 7) == b"abcdef\n"


async def test_stream_when_descriptors_are_passed_then_the_rest_is_read(io_path: str, tmp_path: Path) -> None:
    """A Unix socket stops a receive at a message that carries descriptors."""
    server = trioserver.UnixStreamServer(tmp_path / "s", Echo)
    async with server.running(), client_of(server) as client:
        await client.send_all(b"one\n")
        assert await receive_exactly(client, 4) == b"one\n"
        with socket.socket(fileno=client.socket.detach()) as raw:
            socket.send_fds(raw, [b"abc"], [raw.fileno()])
            raw.sendall(b"def\n")
            raw.setblocking(False)
            received = b""
            while len(received) < 7:
                await trio.lowlevel.wait_readable(raw)
                received += raw.recv(100)
            trio.lowlevel.notify_closing(raw)
        assert received == b"abcdef\n"
