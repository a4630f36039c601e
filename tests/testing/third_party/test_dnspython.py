"""dnspython on trio asks the DNS server of our examples, which is unchanged but for its port."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

import trioserver
from trioserver.testing import Drop, Network, Packet, Pass, Verdict

if TYPE_CHECKING:
    from trio.testing import MockClock

pytest.importorskip("dns", reason="dnspython is not installed: pip install dnspython")
pytest.importorskip("dnslib", reason="dnslib is not installed: pip install dnslib")

dns_asyncquery: Any = pytest.importorskip("dns.asyncquery")
dns_asyncresolver: Any = pytest.importorskip("dns.asyncresolver")
dns_message: Any = pytest.importorskip("dns.message")

EXAMPLE = Path(__file__).parents[3] / "examples" / "dns.py"


def example() -> Any:
    """The module of the example."""
    spec = importlib.util.spec_from_file_location("example_dns", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def start_server(network: Network, nursery: trio.Nursery) -> str:
    """The server, on both transports; returns its address."""
    handler = example().DNS
    with network.host("nameserver") as host:
        await nursery.start(trioserver.TCPServer(("", 53), handler).serve_forever)
        await nursery.start(trioserver.UDPServer(("0.0.0.0", 53), handler).serve_forever)
    return host.addresses[0]


async def test_dnspython_when_a_datagram_is_lost_then_the_resolver_asks_again(
    autojump_clock: MockClock,
) -> None:
    """The first two questions never arrive; the third one does."""
    questions = 0

    def lose_two(packet: Packet) -> Verdict:
        nonlocal questions
        questions += packet.kind == "DATAGRAM" and packet.destination[1] == 53
        return Drop if questions < 3 else Pass

    with Network(1) as network:
        async with trio.open_nursery() as nursery:
            resolver = dns_asyncresolver.Resolver(configure=False)
            resolver.nameservers = [await start_server(network, nursery)]
            with network.host("client"), network.rule(lose_two):
                answer = await resolver.resolve("www.example.test", "A", lifetime=30)
            nursery.cancel_scope.cancel()
    assert [str(row) for row in answer] == ["192.0.2.1"]
    assert questions == 3


async def test_dnspython_when_an_answer_is_too_long_then_it_comes_over_tcp(autojump_clock: MockClock) -> None:
    """A truncated answer by UDP, then the whole one by TCP."""
    with Network(2) as network:
        async with trio.open_nursery() as nursery:
            address = await start_server(network, nursery)
            with network.host("client"):
                query = dns_message.make_query("big.example.test", "TXT")
                answer, over_tcp = await dns_asyncquery.udp_with_fallback(query, address, timeout=30)
            nursery.cancel_scope.cancel()
    assert over_tcp
    assert len(answer.answer[0]) == 9
