"""Unix sockets: what can be sent beside data."""

from __future__ import annotations

import array
import os
import socket
import struct
from socket import AF_UNIX
from typing import TYPE_CHECKING

import trio

from .worlds import World, parity

if TYPE_CHECKING:
    from pathlib import Path


@parity
async def test_rights_when_a_descriptor_is_sent_then_the_receiver_has_a_copy(
    world: World, tmp_path: Path
) -> None:
    """SCM_RIGHTS of unix(7): how a program hands over its sockets."""
    client, server = await world.pair(str(tmp_path / "s"), family=AF_UNIX)
    listener = await world.listener()
    rights = array.array("i", [listener.fileno()])
    await client.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    data, ancillary, _, _ = await server.recvmsg(10, socket.CMSG_LEN(4))
    ((level, kind, content),) = ancillary
    assert (data, level, kind) == (b"x", socket.SOL_SOCKET, socket.SCM_RIGHTS)
    (descriptor,) = struct.unpack("i", content)
    copy = world.keep(trio.socket.fromfd(descriptor))
    os.close(descriptor)
    assert copy.getsockname() == listener.getsockname()


@parity
async def test_credentials_when_asked_for_then_they_come_with_the_data(world: World, tmp_path: Path) -> None:
    """SCM_CREDENTIALS of unix(7): who has sent it."""
    client, server = await world.pair(str(tmp_path / "s"), family=AF_UNIX)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    await client.send(b"x")
    data, ancillary, _, _ = await server.recvmsg(10, 100)
    ((level, kind, content),) = ancillary
    assert (data, level, kind) == (b"x", socket.SOL_SOCKET, socket.SCM_CREDENTIALS)
    assert struct.unpack("3i", content) == (os.getpid(), os.getuid(), os.getgid())


@parity
async def test_ancillary_data_when_there_is_none_then_an_empty_list(world: World, tmp_path: Path) -> None:
    """Whatever room was given."""
    client, server = await world.pair(str(tmp_path / "s"), family=AF_UNIX)
    await client.sendmsg([b"ab", b"cd"], [])
    assert (await server.recvmsg(10, 100))[:3] == (b"abcd", [], 0)
