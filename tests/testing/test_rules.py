"""Rules, partitions and holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

import trioserver
from trioserver.testing import Deliver, Drop, Network, Packet, Pass, Verdict

from .traffic import Traffic, make_hosts, texts

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_rule_when_it_answers_then_that_is_what_happens(autojump_clock: MockClock) -> None:
    """Dropped, delivered at its time, or left to the link."""

    def by_content(packet: Packet) -> Verdict:
        return {b"drop": Drop, b"late": Deliver(5), b"soon": Deliver(0)}.get(packet.data, Pass)

    with Network(1, latency=1) as network:
        traffic = Traffic(network)
        with network.rule(by_content):
            for data in (b"drop", b"late", b"pass", b"soon"):
                traffic.send(data)
        traffic.send(b"drop")
        await trio.sleep(10)
    assert traffic.arrived == [(0, b"soon"), (1, b"pass"), (1, b"drop"), (5, b"late")]
    assert traffic.lost == [b"drop"]


async def test_rules_when_several_then_the_first_that_was_installed_is_asked_first(
    autojump_clock: MockClock,
) -> None:
    """The first answer counts, later rules are not asked; leaving one block leaves the others."""
    asked: list[str] = []

    def rule(name: str, verdict: Verdict) -> Any:
        def ask(packet: Packet) -> Verdict:
            asked.append(name)
            return verdict

        return ask

    with Network(1) as network:
        traffic = Traffic(network)
        first, second = rule("first", Pass), rule("second", Drop)
        with network.rule(first), network.rule(second):
            with network.rule(first), network.rule(rule("last", Pass)):
                traffic.send()
            traffic.send()
        traffic.send()
        await trio.sleep(1)
    assert asked == ["first", "second"] * 2
    assert len(traffic.arrived) == 1


async def test_rule_when_it_delivers_then_no_link_partition_or_hold_matters(
    autojump_clock: MockClock,
) -> None:
    """Its answer is the last word."""
    with Network(1, loss=1) as network:
        traffic = Traffic(network)
        make_hosts(network, "a", "b")
        network.partition("a", "b")
        network.hold("a", "b")
        with network.rule(lambda packet: Deliver(2)):
            traffic.send(b"x")
        await trio.sleep(3)
    assert traffic.arrived == [(2, b"x")]


async def test_rule_when_packets_stay_on_a_host_then_it_sees_them(autojump_clock: MockClock) -> None:
    """Loopback is no exception."""
    with Network(1) as network:
        traffic = Traffic(network)
        with network.rule(lambda packet: Drop):
            traffic.send(b"x", receiver="a")
    assert traffic.lost == [b"x"]


async def test_rule_when_it_is_looked_at_then_the_packet_says_all(autojump_clock: MockClock) -> None:
    """A packet reads well, and knows its hosts."""
    seen: list[Packet] = []

    def look(packet: Packet) -> Verdict:
        seen.append(packet)
        return Pass

    with Network(1) as network, network.rule(look):
        Traffic(network).send(b"123")
        network.host("six", "fd00::6")
        Traffic(network).send(sender="six")
    first, second = seen
    assert (first.sender, first.receiver) == (network.hosts["a"], network.hosts["b"])
    assert repr(first) == "udp DATAGRAM 10.0.0.1:1000 > 10.0.0.2:1000 3 bytes"
    assert repr(second) == "udp DATAGRAM [fd00::6]:1000 > 10.0.0.2:1000 0 bytes"
    assert [repr(verdict) for verdict in (Pass, Drop, Deliver(0.5))] == ["Pass", "Drop", "Deliver(0.5)"]


@pytest.mark.parametrize("answer", [None, True, "Drop", Deliver])
async def test_rule_when_it_answers_something_else_then_the_networks_block_says_so(
    answer: Any, autojump_clock: MockClock
) -> None:
    """The sender is not blamed, and the packet passes."""

    def mute(packet: Packet) -> Any:
        return answer

    network = Network(1)
    traffic = Traffic(network)
    with pytest.raises(trioserver.ConfigError, match=r"mute answered .* Pass, Deliver\(seconds\) or Drop"):
        with network, network.rule(mute):
            traffic.send(b"x")
            await trio.sleep(1)
    assert traffic.data == [b"x"]


async def test_rule_when_it_raises_then_the_networks_block_raises_it(autojump_clock: MockClock) -> None:
    """The first such exception, as it is."""
    with pytest.raises(ZeroDivisionError):
        with Network(1) as network, network.rule(lambda packet: 1 / 0):  # type: ignore[arg-type, return-value]
            Traffic(network).send()


async def _waits(packet: Packet) -> Verdict:
    return Pass


@pytest.mark.parametrize("rule", [None, Drop, _waits])
def test_rule_when_it_is_no_rule_then_config_error(rule: Any) -> None:
    """An async function would be called and never awaited."""
    with pytest.raises(trioserver.ConfigError, match="rule"):
        with Network(1).rule(rule):
            pass


@pytest.mark.parametrize("delay", [-1, None, float("nan")])
def test_deliver_when_the_delay_is_nonsense_then_config_error(delay: Any) -> None:
    """At once, where it is made."""
    with pytest.raises(trioserver.ConfigError, match="delay"):
        Deliver(delay)


async def test_partition_when_made_then_packets_are_lost_until_repaired(autojump_clock: MockClock) -> None:
    """Those under way arrive; other hosts are not concerned."""
    with Network(1, latency=1) as network:
        traffic = Traffic(network)
        traffic.send(b"before")
        network.partition("a", "b")
        traffic.send(b"cut")
        traffic.send(b"cut back", sender="b", receiver="a")
        traffic.send(b"other", receiver="c")
        await trio.sleep(5)
        network.repair("a", "b")
        traffic.send(b"after")
        await trio.sleep(5)
    assert traffic.data == [b"before", b"other", b"after"]
    assert traffic.lost == [b"cut", b"cut back"]
    assert texts(network, "fault") == ["partition a > b", "partition b > a", "repair a > b", "repair b > a"]


async def test_partition_when_one_way_then_the_other_way_is_open(autojump_clock: MockClock) -> None:
    """Both for making and for repairing."""
    with Network(1) as network:
        traffic = Traffic(network)
        a, b = network.host("a"), network.host("b")
        network.partition(a, b, one_way=True)
        traffic.send(b"1")
        traffic.send(b"2", sender="b", receiver="a")
        network.partition(b, a)
        network.repair("a", "b", one_way=True)
        traffic.send(b"3")
        traffic.send(b"4", sender="b", receiver="a")
        await trio.sleep(1)
    assert (traffic.data, traffic.lost) == ([b"2", b"3"], [b"1", b"4"])


async def test_partition_when_of_groups_then_each_pair_is_cut_and_all_are_repaired_at_once(
    autojump_clock: MockClock,
) -> None:
    """Hosts of one group still reach each other; the log has them in the order of the network."""
    with Network(1) as network:
        traffic = Traffic(network)
        for name in "abc":
            network.host(name)
        network.partition({"b": 1, "a": 2}, ["c"])
        for sender, receiver in ("ac", "bc", "ab"):
            traffic.send(f"{sender}{receiver}".encode(), sender=sender, receiver=receiver)
        assert traffic.lost == [b"ac", b"bc"]
        ways = ["a > c", "b > c", "c > a", "c > b"]
        assert texts(network, "fault") == [f"partition {way}" for way in ways]
        network.repair()
        traffic.send(b"again", receiver="c")
        await trio.sleep(1)
    assert traffic.data == [b"ab", b"again"]


async def test_hold_when_released_then_everything_goes_on_in_order(autojump_clock: MockClock) -> None:
    """Late by the hold, and then by the link; nothing is lost."""
    with Network(1, latency=1) as network:
        traffic = Traffic(network)
        traffic.send(b"0")
        network.hold("a", "b")
        network.hold("a", "b")  # harmless
        traffic.send(b"1")
        traffic.send(b"2")
        await trio.sleep(10)
        assert traffic.data == [b"0"]
        network.release("a", "b")
        traffic.send(b"3")
        await trio.sleep(10)
        network.release()
        a, b = network.hosts.values()
        assert network.wire.link(a, b).plain  # as fast as ever
    assert traffic.arrived == [(1, b"0"), (11, b"1"), (11, b"2"), (11, b"3")]
    held = [text.rpartition(", ")[2] for text in texts(network, "packet")]
    assert held == ["arrives after 1 s", "held", "held", *["arrives after 1 s"] * 3]
    assert "release a > b: 2 held" in texts(network, "fault")


async def test_hold_when_released_into_a_partition_then_what_was_held_is_lost(
    autojump_clock: MockClock,
) -> None:
    """The partition is there when the packets go on."""
    with Network(1) as network:
        traffic = Traffic(network)
        make_hosts(network, "a", "b")
        network.hold("a", "b", one_way=True)
        traffic.send(b"x")
        network.partition("a", "b")
        network.release("a", "b", one_way=True)
    assert traffic.lost == [b"x"]


@pytest.mark.parametrize(
    ("a", "b", "match"),
    [
        ("a", "bb", "no host of this network: 'bb'; there are: a, b"),
        ("a", "a", "both sides"),
        (["a", "b"], "b", "both sides"),
        ([], "b", "at least one"),
        ("a", 7, "7"),
        ("a", Network(1).host("b"), "no host of this network"),
    ],
)
@pytest.mark.parametrize("method", ["partition", "repair", "hold", "release", "link"])
def test_hosts_when_they_are_not_usable_then_config_error_names_them(
    method: str, a: Any, b: Any, match: str
) -> None:
    """A name with a slip of the pen would cut nothing, silently."""
    network = Network(1)
    make_hosts(network, "a", "b")
    with pytest.raises(trioserver.ConfigError, match=match):
        getattr(network, method)(a, b)


def test_repair_when_one_side_is_missing_then_config_error() -> None:
    """Either both sides or none."""
    network = Network(1)
    network.host("a")
    with pytest.raises(trioserver.ConfigError, match="both sides"):
        network.repair("a")
