"""Names: of hosts, and those that a test adds, changes, breaks and slows down."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

import trioserver
from trioserver.testing import Network, uniform

from .traffic import make_hosts, texts

if TYPE_CHECKING:
    from trio.testing import MockClock


async def addresses(name: Any, port: Any = 80, **options: Any) -> list[Any]:
    """What a name stands for, for TCP."""
    found = await trio.socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, **options)
    return [row[4] for row in found]


async def failure(name: Any, **options: Any) -> int:
    """The number of the error that it gives."""
    with pytest.raises(socket.gaierror) as caught:
        await addresses(name, **options)
    assert caught.value.errno is not None
    return caught.value.errno


async def test_name_when_it_is_a_hosts_then_its_addresses_are_found(autojump_clock: MockClock) -> None:
    """In any case, with or without the root's dot, all or those of one family."""
    with Network(1) as network:
        network.host("Server")
        both = [("10.0.0.1", 80), ("fd00::1", 80, 0, 0)]
        for name in ("server", "SERVER", "server.", b"server"):
            assert await addresses(name) == both
        assert await addresses("server", family=socket.AF_INET) == both[:1]
        assert await addresses("server", family=socket.AF_INET6) == both[1:]


async def test_name_when_asked_for_all_kinds_then_rows_are_those_of_the_system(
    autojump_clock: MockClock,
) -> None:
    """Each kind of socket, and the canonical name in the first row."""
    with Network(1) as network:
        network.host("server", "10.0.0.1")
        found = await trio.socket.getaddrinfo("server", 80, flags=socket.AI_CANONNAME)
        numeric = await trio.socket.getaddrinfo("10.0.0.1", 80)
    assert [row[:3] for row in found] == [row[:3] for row in numeric]
    assert [row[3] for row in found] == ["server", *[""] * (len(found) - 1)]


async def test_name_when_unknown_then_eai_noname(autojump_clock: MockClock) -> None:
    """With the words of the system; the log has the question."""
    with Network(1) as network, network.host("a"):
        with pytest.raises(socket.gaierror, match="Name or service not known") as caught:
            await addresses("nowhere")
        assert caught.value.errno == socket.EAI_NONAME
        assert await failure("a", flags=socket.AI_NUMERICHOST) == socket.EAI_NONAME
    event = network.log[-1]
    assert (event.host, event.kind, event.text) == ("a", "dns", "asks for nowhere: EAI_NONAME")


async def test_name_when_it_has_no_address_of_the_family_then_an_error(autojump_clock: MockClock) -> None:
    """``AI_V4MAPPED`` makes one of the other."""
    with Network(1) as network:
        network.host("four", "10.0.0.4")
        assert await failure("four", family=socket.AF_INET6) == socket.EAI_NODATA
        mapped = await addresses("four", family=socket.AF_INET6, flags=socket.AI_V4MAPPED)
        assert mapped == [("::ffff:10.0.0.4", 80, 0, 0)]


async def test_localhost_when_asked_for_then_it_is_the_asking_host(autojump_clock: MockClock) -> None:
    """Whatever the DNS does; so is no name at all, and for listening that is every address."""
    with Network(1) as network:
        network.dns.delay = 60
        network.dns.fail()
        loopback = [("127.0.0.1", 80), ("::1", 80, 0, 0)]
        for name in ("localhost", "LocalHost.", "some.localhost"):
            assert await addresses(name) == loopback
        assert await addresses(None, "http") == loopback
        assert await addresses("", "http", flags=socket.AI_PASSIVE) == [("0.0.0.0", 80), ("::", 80, 0, 0)]
        assert trio.current_time() == 0


async def test_port_when_it_is_a_service_then_its_number_is_found(autojump_clock: MockClock) -> None:
    """From a table of our own, for names and for addresses; numbers may be text."""
    with Network(1) as network:
        network.host("server", "10.0.0.1")
        assert await addresses("server", "https") == [("10.0.0.1", 443)]
        assert await addresses("server", "8080") == [("10.0.0.1", 8080)]
        assert await addresses("server", None) == [("10.0.0.1", 0)]
        assert await addresses("10.0.0.7", b"http") == [("10.0.0.7", 80)]
        assert await failure("server", port="no-such-service") == socket.EAI_SERVICE


async def test_dns_when_a_name_is_added_then_it_stands_for_that_alone(autojump_clock: MockClock) -> None:
    """It may be a host's name; adding it again replaces what it stood for."""
    with Network(1) as network:
        network.host("server")
        network.dns.add("Server", "192.0.2.1")
        network.dns.add("www.example", "192.0.2.3", "192.0.2.2")
        assert await addresses("server") == [("192.0.2.1", 80)]
        assert await addresses("www.example") == [("192.0.2.3", 80), ("192.0.2.2", 80)]
        network.dns.add("www.example.", "192.0.2.9")
        assert await addresses("www.example") == [("192.0.2.9", 80)]


async def test_dns_when_a_name_is_removed_then_it_is_unknown(autojump_clock: MockClock) -> None:
    """A host's name, or one that was added; it can be added again."""
    with Network(1) as network:
        network.host("server")
        network.dns.remove("server")
        assert await failure("server") == socket.EAI_NONAME
        with pytest.raises(trioserver.ConfigError, match="server"):
            network.dns.remove("server")
        network.dns.add("server", "192.0.2.1")
        assert await addresses("server") == [("192.0.2.1", 80)]


async def test_dns_when_a_name_fails_then_with_that_error_until_it_recovers(
    autojump_clock: MockClock,
) -> None:
    """One name, or all of them."""
    with Network(1) as network:
        make_hosts(network, "a", "b")
        network.dns.fail("A", socket.EAI_FAIL)
        assert await failure("a") == socket.EAI_FAIL
        assert len(await addresses("b")) == 2
        network.dns.fail()
        assert (await failure("a"), await failure("b")) == (socket.EAI_FAIL, socket.EAI_AGAIN)
        network.dns.recover("a")
        assert await failure("a") == socket.EAI_AGAIN
        network.dns.fail("b", socket.EAI_FAIL)
        network.dns.recover()
        assert len(await addresses("a") + await addresses("b")) == 4
    assert texts(network, "dns")[:4] == [
        "DNS: A fails with EAI_FAIL",
        "asks for a: EAI_FAIL",
        "asks for b: 10.0.0.2, fd00::2",
        "DNS: every name fails with EAI_AGAIN",
    ]


async def test_dns_when_it_is_slow_then_answers_take_that_long(autojump_clock: MockClock) -> None:
    """What is known in the end is the answer; the wait can be cancelled."""
    with Network(1) as network:
        network.host("a")
        network.dns.delay = 5
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def change() -> None:
                await trio.sleep(3)
                network.dns.add("a", "192.0.2.1")

            assert await addresses("a") == [("192.0.2.1", 80)]
        assert trio.current_time() == 5
        with trio.move_on_after(1) as scope:
            await addresses("a")
        assert scope.cancelled_caught
        network.dns.delay = uniform(1, 2)
        before = trio.current_time()
        await addresses("a")
        assert 1 <= trio.current_time() - before <= 2


@pytest.mark.parametrize("name", ["localhost", "server", "10.0.0.1", None])
async def test_lookup_when_it_takes_no_time_then_it_is_a_checkpoint_all_the_same(
    name: str | None, autojump_clock: MockClock
) -> None:
    """With a service too, where trio asks the network also for numbers (P10)."""
    with Network(1) as network:
        network.host("server")
        with trio.testing.assert_checkpoints():
            await addresses(name, "http")
        with trio.testing.assert_checkpoints():
            await trio.socket.getnameinfo(("10.0.0.1", 80), 0)


@pytest.mark.parametrize(
    ("address", "flags", "expected"),
    [
        (("10.0.0.1", 80), 0, ("server", "http")),
        (("fd00::1", 7777, 0, 0), 0, ("server", "7777")),
        (("10.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV, ("10.0.0.1", "80")),
        (("127.0.0.1", 443), 0, ("localhost", "https")),
        (("192.0.2.1", 1), 0, ("192.0.2.1", "1")),
    ],
)
async def test_address_when_its_name_is_asked_for_then_it_is_the_hosts(
    address: Any, flags: int, expected: tuple[str, str], autojump_clock: MockClock
) -> None:
    """Or the address itself, where nobody has it or no name is wanted."""
    with Network(1) as network:
        network.host("server")
        assert await trio.socket.getnameinfo(address, flags) == expected


@pytest.mark.parametrize(("address", "flags"), [("192.0.2.1", socket.NI_NAMEREQD), ("server", 0)])
async def test_address_when_it_has_no_name_but_one_is_required_then_eai_noname(
    address: str, flags: int, autojump_clock: MockClock
) -> None:
    """As for what is no address."""
    with Network(1), pytest.raises(socket.gaierror) as caught:
        await trio.socket.getnameinfo((address, 80), flags)
    assert caught.value.errno == socket.EAI_NONAME


@pytest.mark.parametrize(
    ("call", "arguments", "match"),
    [
        ("add", ("a",), "at least one address"),
        ("add", ("a", "b"), "must be an IP address"),
        ("add", ("", "10.0.0.1"), "a name must be"),
        ("add", (None, "10.0.0.1"), "a name must be"),
        ("remove", ("nowhere",), "no name 'nowhere'"),
        ("fail", ("a", 12345), "EAI_NONAME"),
        ("fail", ("a", None), "error must be"),
        ("__setattr__", ("delay", -1), "delay"),
    ],
)
def test_dns_when_an_argument_is_nonsense_then_config_error(
    call: str, arguments: tuple[Any, ...], match: str
) -> None:
    """Which names it."""
    with pytest.raises(trioserver.ConfigError, match=match):
        getattr(Network(1).dns, call)(*arguments)
