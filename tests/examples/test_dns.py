"""The example of a DNS server, asked by dig."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.examples.conftest import RunExample

pytest.importorskip("dnslib")


async def test_dns_when_dig_asks_then_both_transports_answer_from_one_handler(
    run_example: RunExample, run_client: Callable[..., str]
) -> None:
    """A name over UDP and over TCP; one that is not there; an answer too long for UDP comes over TCP."""

    async def dig(*question: str) -> str:
        where = ("@127.0.0.1", "-p", str(server.ports[0]), "+tries=1", "+timeout=10")
        return await trio.to_thread.run_sync(lambda: run_client("dig", *where, *question))

    async with run_example("dns") as server:
        assert await dig("+short", "www.example.test") == "192.0.2.1\n"
        assert await dig("+short", "+tcp", "www.example.test", "AAAA") == "2001:db8::1\n"
        assert "status: NXDOMAIN" in await dig("nowhere.example.test")
        assert "flags: qr aa tc" in await dig("+ignore", "+noedns", "big.example.test", "TXT")
        whole = await dig("+noedns", "big.example.test", "TXT")
        assert whole.count("IN\tTXT") == 10
        assert "(TCP)" in whole


async def test_dns_when_it_gets_no_query_then_it_says_nothing_and_goes_on(
    run_example: RunExample, run_client: Callable[..., str]
) -> None:
    """Garbage is no reason for a traceback; `run_example` checks that there is none."""
    async with run_example("dns") as server:
        with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            await client.connect(("127.0.0.1", server.ports[0]))
            await client.send(b"garbage")
            query = bytes.fromhex("12340100000100000000000003777777076578616d706c6504746573740000010001")
            await client.send(query)
            reply = await client.recv(512)
            assert reply[:2] == query[:2]
            assert reply.endswith(bytes([192, 0, 2, 1]))
