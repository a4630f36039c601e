"""Links: latency, bandwidth, loss, duplication and reordering."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

import pytest
import trio

import trioserver
from trioserver.testing import Latency, Network, exponential, normal, uniform

from .traffic import Traffic, make_hosts, texts

if TYPE_CHECKING:
    from trio.testing import MockClock


@pytest.mark.parametrize(
    ("latency", "mean", "least"),
    [(uniform(1, 3), 2.0, 1.0), (exponential(0.5), 0.5, 0.0), (normal(0.5, 0.4), 0.5, 0.0)],
)
def test_latency_when_drawn_then_follows_its_distribution(latency: Any, mean: float, least: float) -> None:
    """On average it is what it says, and it is never less than it can be."""
    source = random.Random(1)
    drawn = [latency(source) for _ in range(5000)]
    assert sum(drawn) / len(drawn) == pytest.approx(mean, rel=0.1)
    assert min(drawn) >= least
    assert len(set(drawn)) > 4000


async def test_link_when_set_then_only_that_way_is_other(autojump_clock: MockClock) -> None:
    """One way for one pair; what is left out stays as it is."""
    with Network(1, latency=1) as network:
        traffic = Traffic(network)
        make_hosts(network, "a", "b", "c")
        network.link("a", "b", latency=3, both_ways=False)
        network.link("a", "b", bandwidth=1e9, both_ways=False)
        traffic.send(b"a>b")
        traffic.send(b"b>a", sender="b", receiver="a")
        traffic.send(b"a>c", receiver="c")
        await trio.sleep(5)
    assert traffic.arrived == [(1, b"b>a"), (1, b"a>c"), (3, b"a>b")]
    flag: Any = "no"
    with pytest.raises(trioserver.ConfigError, match="both_ways"):
        network.link("a", "b", both_ways=flag)
    assert texts(network, "fault") == [
        "link a > b: latency 3 s",
        "link a > b: latency 3 s, bandwidth 1e+09 bytes/s",
    ]


async def test_link_when_its_latency_sinks_then_nothing_is_overtaken(autojump_clock: MockClock) -> None:
    """What is sent after the change waits for what was sent before."""
    with Network(1, latency=5) as network:
        traffic = Traffic(network)
        traffic.send(b"slow")
        network.link("a", "b", latency=1)
        traffic.send(b"fast")
        await trio.sleep(6)
        traffic.send(b"later")
        await trio.sleep(6)
    assert traffic.arrived == [(5, b"slow"), (5, b"fast"), (7, b"later")]


async def test_link_when_it_has_a_bandwidth_then_packets_leave_one_after_the_other(
    autojump_clock: MockClock,
) -> None:
    """Each takes its size, and the latency comes on top."""
    with Network(1, latency=1, bandwidth=100) as network:
        traffic = Traffic(network)
        for _ in range(3):
            traffic.send(bytes(50))
        await trio.sleep(10)
        traffic.send(bytes(50))
        await trio.sleep(10)
    assert traffic.times == [1.5, 2.0, 2.5, 11.5]


async def test_link_when_it_loses_then_about_so_many_are_lost(autojump_clock: MockClock) -> None:
    """The sender is told, the log says so, and the seed decides which."""

    async def lost(seed: int) -> list[bytes]:
        with Network(seed, loss=0.2) as network:
            traffic = Traffic(network)
            sent = traffic.send_all(500)
            await trio.sleep(1)
        assert sorted(traffic.data + traffic.lost) == sorted(sent)
        dropped = [text for text in texts(network, "packet") if text.endswith("dropped: loss")]
        assert len(dropped) == len(traffic.lost)
        return traffic.lost

    first = await lost(1)
    assert 60 < len(first) < 140
    assert await lost(1) == first
    assert await lost(2) != first


async def test_link_when_it_duplicates_then_packets_arrive_twice(autojump_clock: MockClock) -> None:
    """The copy is the same packet, and takes its own time."""
    with Network(1, duplication=1, latency=uniform(0.1, 1)) as network:
        traffic = Traffic(network)
        traffic.send(b"x")
        await trio.sleep(2)
    assert traffic.data == [b"x", b"x"]
    assert traffic.times[0] < traffic.times[1]
    assert texts(network, "packet")[0].endswith("s: duplicated")
    assert " and " in texts(network, "packet")[0]


@pytest.mark.parametrize("latency", [0, 0.01])
async def test_link_when_it_reorders_then_later_packets_overtake(
    latency: float, autojump_clock: MockClock
) -> None:
    """Those that were struck arrive late; all others stay in order."""
    with Network(1, reordering=0.2, latency=latency) as network:
        traffic = Traffic(network)
        sent = traffic.send_all(100)
        await trio.sleep(1)
    assert sorted(traffic.data) == sorted(sent)
    on_time = [data for time, data in traffic.arrived if time == latency]
    assert 60 < len(on_time) < 95
    assert on_time == [data for data in sent if data in on_time]


async def test_latency_when_a_function_draws_nonsense_then_the_networks_block_says_which(
    autojump_clock: MockClock,
) -> None:
    """It is named; the packet arrives without latency."""

    def broken(random: random.Random) -> float:
        return -1

    network = Network(1, latency=broken)
    traffic = Traffic(network)
    with pytest.raises(trioserver.ConfigError, match=r"what the latency broken draws .* not -1"):
        with network:
            traffic.send()
            await trio.sleep(1)
    assert traffic.times == [0]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("latency", -1),
        ("latency", math.nan),
        ("latency", math.inf),
        ("latency", "1"),
        ("latency", None),
        ("bandwidth", 0),
        ("bandwidth", -5),
        ("loss", 1.5),
        ("loss", -0.1),
        ("loss", True),
        ("duplication", 2),
        ("reordering", None),
    ],
)
def test_option_when_it_is_nonsense_then_it_is_named(option: str, value: Any) -> None:
    """For the network and for a link alike; the link stays as it was."""
    options: dict[str, Any] = {option: value}
    with pytest.raises(trioserver.ConfigError, match=option):
        Network(**options)
    network = Network(1)
    make_hosts(network, "a", "b")
    with pytest.raises(trioserver.ConfigError, match=option):
        network.link("a", "b", **options)
    assert texts(network, "fault") == []


@pytest.mark.parametrize(
    ("make", "arguments", "match"),
    [
        (uniform, (2, 1), "most"),
        (uniform, (-1, 1), "least"),
        (exponential, ("x",), "mean"),
        (normal, (1, -1), "deviation"),
    ],
)
def test_distribution_when_its_arguments_are_nonsense_then_they_are_named(
    make: Any, arguments: tuple[Any, ...], match: str
) -> None:
    """At once, not at the first packet."""
    with pytest.raises(trioserver.ConfigError, match=match):
        make(*arguments)


def _half(random: random.Random) -> float:
    return 0.5


@pytest.mark.parametrize(
    ("latency", "text"),
    [
        (0.1, "0.1 s"),
        (uniform(0.1, 2), "uniform(0.1, 2)"),
        (exponential(1), "exponential(1)"),
        (normal(1, 0.5), "normal(1, 0.5)"),
        (_half, "_half"),
    ],
)
def test_latency_when_logged_then_as_words_without_addresses(latency: Latency, text: str) -> None:
    """The same line in every process."""
    network = Network(1)
    make_hosts(network, "a", "b")
    network.link("a", "b", latency=latency, loss=0.5, both_ways=False)
    assert texts(network, "fault") == [f"link a > b: latency {text}, loss 0.5"]
