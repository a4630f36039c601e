"""Hosts: names, addresses, which of them a task is on, and descriptors."""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING, Any

import pytest
import trio

import trioserver
from trioserver.testing import Network

from .traffic import texts

if TYPE_CHECKING:
    from trio.testing import MockClock


class FakeSocket:
    """What a host knows of a socket."""

    gone = 0

    def vanish(self) -> None:
        """Count."""
        self.gone += 1


def test_host_when_asked_for_then_made_once_with_the_next_addresses() -> None:
    """In order of creation, one of each family, in any case of letters."""
    network = Network(1)
    first, second = network.host("Client"), network.host("server")
    assert (first.addresses, second.addresses) == (["10.0.0.1", "fd00::1"], ["10.0.0.2", "fd00::2"])
    assert network.host("client") is network.host_named("CLIENT") is first
    assert list(network.hosts) == ["Client", "server"]
    assert repr(first) == "<Host Client 10.0.0.1 fd00::1>"
    assert texts(network, "host") == ["is 10.0.0.1 and fd00::1", "is 10.0.0.2 and fd00::2"]


def test_host_when_addresses_are_given_then_it_has_those() -> None:
    """Under whatever form of them it is found; defaults go round what is taken."""
    network = Network(1)
    host = network.host("a", "10.0.0.1", "2001:DB8:0::0:1")
    assert host.addresses == ["10.0.0.1", "2001:db8::1"]
    assert network.host_at("2001:db8::1") is network.host_at("2001:db8:0:0::1") is host
    assert network.host_at("10.0.0.99") is network.host_at("nonsense") is network.host_at("127.0.0.1") is None
    assert network.host("a", "10.0.0.1", "2001:db8::1") is host
    assert network.host("b").addresses == ["10.0.0.2", "fd00::2"]


def test_host_when_asked_what_it_owns_then_loopback_belongs_to_it() -> None:
    """Every host has 127.0.0.0/8 and ::1 of its own."""
    network = Network(1)
    host, other = network.host("a"), network.host("b")
    assert all(host.owns(address) for address in (*host.addresses, "127.0.0.1", "127.8.9.1", "::1"))
    assert not any(host.owns(address) for address in (*other.addresses, "0.0.0.0", "12.7.0.1"))


@pytest.mark.parametrize("name", ["", "a b", "-a", "a.", "10.0.0.1", "::1", "\u00e4", "a\nb", None, 7, b"a"])
def test_host_when_its_name_is_none_then_config_error(name: Any) -> None:
    """A name must be one that a resolver is asked for, and no address."""
    with pytest.raises(trioserver.ConfigError, match="name of a host"):
        Network(1).host(name)


@pytest.mark.parametrize(
    ("addresses", "match"),
    [
        (["10.0.0.7"], "exists already|address of the host b already"),
        (["10.0.0.8", "10.0.0.8"], "host a already"),
        (["127.0.0.1"], "loopback"),
        (["::"], "unspecified"),
        (["224.0.0.1"], "multicast"),
        (["::ffff:10.0.0.9"], "IPv4 as IPv6"),
        (["example.com"], "must be an IP address"),
        ([7], "must be an IP address"),
    ],
)
def test_host_when_an_address_is_not_usable_then_config_error_and_no_host(
    addresses: list[Any], match: str
) -> None:
    """The host is not made."""
    network = Network(1)
    network.host("b", "10.0.0.7")
    with pytest.raises(trioserver.ConfigError, match=match):
        network.host("a", *addresses)
    assert list(network.hosts) == ["b"]


def test_host_when_it_exists_with_other_addresses_then_config_error() -> None:
    """Addresses do not change."""
    network = Network(1)
    network.host("a")
    with pytest.raises(trioserver.ConfigError, match=r"the host a exists .* 10\.0\.0\.1, fd00::1"):
        network.host("a", "10.0.0.5")


async def test_current_host_when_in_a_block_then_child_tasks_inherit_it(autojump_clock: MockClock) -> None:
    """Blocks nest, and tasks that interleave in blocks of the same hosts do not disturb each other."""
    network = Network(1)
    seen: dict[str, str] = {}

    async def child(name: str) -> None:
        await trio.sleep(5)
        seen[name] = network.current_host.name

    async def visit(delay: float, *names: str) -> None:
        await trio.sleep(delay)
        with network.host(names[0]):
            await trio.sleep(1)
            with network.host(names[1]) as inner:
                await trio.sleep(1)
                assert network.current_host is inner
            assert network.current_host.name == names[0]
        assert network.current_host.name == "localhost"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(child, "outside")
        with network.host("a"):
            nursery.start_soon(child, "a")
            with network.host("b"):
                nursery.start_soon(child, "b")
        nursery.start_soon(visit, 0, "a", "b")
        nursery.start_soon(visit, 0.5, "b", "a")
        nursery.start_soon(visit, 1.5, "a", "a")
    assert seen == {"outside": "localhost", "a": "a", "b": "b"}


def test_current_host_when_in_a_block_of_another_network_then_that_does_not_count() -> None:
    """Two networks do not mix their hosts."""
    one, other = Network(1), Network(2)
    with one.host("a"), other.host("b"):
        assert (one.current_host.name, other.current_host.name) == ("a", "b")
    assert one.current_host.name == "localhost"


def test_block_when_it_is_not_the_innermost_at_its_end_then_lifecycle_error() -> None:
    """As of fixtures that yield in one; the other block goes on, and no error is hidden."""
    network = Network(1)
    a, b = network.host("a"), network.host("b")
    a.__enter__()
    with b:
        with pytest.raises(
            trioserver.LifecycleError, match=r"of host 'a' ends.* that of 'b' is the innermost"
        ):
            a.__exit__(None, None, None)
        assert network.current_host is b
        a.__enter__()
        b.__enter__()
        a.__exit__(LookupError, LookupError("why"), None)
        b.__exit__(None, None, None)
        assert network.current_host is b
    assert network.current_host.name == "localhost"
    with pytest.raises(trioserver.LifecycleError, match="was not entered"):
        b.__exit__(None, None, None)


def test_host_and_dns_when_an_attribute_is_misspelt_then_attribute_error() -> None:
    """A fault that nobody has is worse than none."""
    network = Network(1)
    for thing, name in ((network.host("a"), "max_fd"), (network.dns, "delays")):
        with pytest.raises(AttributeError, match=name):
            setattr(thing, name, 3)


def test_localhost_when_it_is_made_then_does_not_shift_the_others() -> None:
    """Whether or not some task is in no block, addresses of hosts are the same."""
    network = Network(1)
    assert network.current_host is network.hosts["localhost"]
    assert network.host("a").addresses == ["10.0.0.1", "fd00::1"]


def test_descriptors_when_all_are_taken_then_emfile() -> None:
    """Numbers that no kernel gives, never one twice; a closed socket makes room."""
    network = Network(1)
    host = network.host("a")
    host.max_fds = 2
    first, second = host.new_fd(FakeSocket()), host.new_fd(FakeSocket())
    assert second == first + 1 >= 2**30
    with pytest.raises(OSError, match="Too many open files") as caught:
        host.new_fd(FakeSocket())
    assert caught.value.errno == errno.EMFILE
    host.drop_fd(first)
    host.drop_fd(first)
    assert host.new_fd(FakeSocket()) == second + 1
    host.max_fds = None
    host.new_fd(FakeSocket())
    assert network.host("b").new_fd(FakeSocket()) == second + 3
    assert texts(network, "fault") == ["max_fds is 2", "max_fds is None"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_fds", -1),
        ("max_fds", 1.5),
        ("max_fds", True),
        ("read_rate", 0),
        ("read_rate", -1),
        ("read_rate", "1"),
    ],
)
def test_option_when_it_is_nonsense_then_it_is_named(name: str, value: Any) -> None:
    """And it stays as it was."""
    host = Network(1).host("a")
    with pytest.raises(trioserver.ConfigError, match=name):
        setattr(host, name, value)
    assert getattr(host, name) is None


def test_read_rate_when_set_then_it_is_in_the_log() -> None:
    """A slow reader is a fault like any other."""
    network = Network(1)
    host = network.host("a")
    host.read_rate = 1000
    host.read_rate = None
    assert texts(network, "fault") == ["read_rate is 1000 bytes/s", "read_rate is no bound"]


def test_hosts_when_they_are_thousands_then_they_are_cheap() -> None:
    """Ten thousand are made in a moment, with addresses of their own, none of which ends in 0 or 255."""
    network = Network(1)
    before = time.process_time()
    hosts = [network.host(f"h{number}") for number in range(10_000)]
    assert time.process_time() - before < 5
    addresses = [address for host in hosts for address in host.addresses]
    assert len(set(addresses)) == 20_000
    assert not [address for address in addresses if address.endswith((".0", ".255"))]
    assert hosts[254].addresses == ["10.0.1.1", "fd00::ff"]
