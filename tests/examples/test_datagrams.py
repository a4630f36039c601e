"""The examples ``udp_echo`` and ``multicast``."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.examples.conftest import RunExample

GROUP = "239.255.42.99"


async def test_udp_echo_when_socat_sends_a_datagram_then_it_comes_back(
    run_example: RunExample, run_client: Callable[..., str]
) -> None:
    """A real client gets its datagram back."""
    async with run_example("udp_echo") as example:
        address = f"UDP:127.0.0.1:{example.ports[0]}"
        # ``shut-null`` and ``null-eof`` let it end on the empty datagram that comes back at its end of input.
        reply = await trio.to_thread.run_sync(
            lambda: run_client("socat", "-t5", "-", f"{address},shut-null,null-eof", input=b"hello")
        )
        assert reply == "hello"


def ask(address: tuple[str, int]) -> trio.socket.SocketType:
    """A socket that has asked who is there, on loopback."""
    sock = trio.socket.socket(type=socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
    with socket.socket(fileno=os.dup(sock.fileno())) as same:
        try:
            same.sendto(b"who is there?", address)
        except OSError as error:
            sock.close()
            pytest.skip(f"{address[0]} can not be reached here: {error}")
    return sock


@pytest.mark.parametrize("host", [GROUP, "127.255.255.255"])
async def test_multicast_when_asked_then_every_member_of_the_group_answers(
    run_example: RunExample, host: str
) -> None:
    """Two servers share the port; a datagram to the group, and a broadcast, reach both."""
    async with run_example("multicast", "0", "Ann") as ann:
        port = ann.ports[0]
        async with run_example("multicast", str(port), "Bob"):
            with ask((host, port)) as client, trio.fail_after(5):
                answers = {await client.recv(100) for _ in range(2)}
            assert answers == {b"Ann is here\n", b"Bob is here\n"}
