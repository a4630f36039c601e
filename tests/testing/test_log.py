"""The event log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from trioserver.testing import Event, Network

from .traffic import Traffic

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_log_when_printed_then_a_line_for_each_event(autojump_clock: MockClock) -> None:
    """Time since the network was entered, host, and what happened."""
    await trio.sleep(100)
    with Network(1, latency=0.25) as network:
        traffic = Traffic(network)
        traffic.send(b"x")
        await trio.sleep(1.5)
        network.log.note("two\nlines \\ here")
        network.log.add("b", "connection", "closes", number=1)
    assert str(network.log) == (
        "    0.000000  a          is 10.0.0.1 and fd00::1\n"
        "    0.000000  b          is 10.0.0.2 and fd00::2\n"
        "    0.000000  a          udp DATAGRAM 10.0.0.1:1000 > 10.0.0.2:1000 1 bytes, arrives after 0.25 s\n"
        "    1.500000             two\\nlines \\\\ here\n"
        "    1.500000  b          closes\n"
    )
    assert repr(network.log) == "<EventLog of 5 events>"


async def test_log_when_read_then_it_is_a_sequence_of_events(autojump_clock: MockClock) -> None:
    """Events are equal when they say the same, also when they are read twice."""
    with Network(1) as network:
        network.log.add("a", "listen", "listens", port=80)
        network.log.note("x")
        events = list(network.log)
    assert len(network.log) == 2
    assert network.log[0] == events[0] == Event(0.0, "a", "listen", "listens", {"port": 80})
    assert network.log[-1].kind == "note"
    assert network.log[1:] == events[1:]
    with pytest.raises(IndexError):
        network.log[2]


async def test_log_when_a_packet_is_sent_then_its_event_has_all_for_a_drawing(
    autojump_clock: MockClock,
) -> None:
    """Simple values only: hosts, size, number, fate, arrival."""
    with Network(1, latency=0.5) as network:
        traffic = Traffic(network)
        await trio.sleep(1)
        traffic.send(b"abc")
        network.partition("a", "b")
        traffic.send()
    sent, dropped = (event.fields for event in network.log if event.kind == "packet")
    assert sent == {
        "source": "a",
        "destination": "b",
        "protocol": "udp",
        "packet": "DATAGRAM",
        "size": 3,
        "number": 1,
        "connection": None,
        "fate": "delivered",
        "arrival": 1.5,
        "reason": "",
    }
    assert (dropped["fate"], dropped["arrival"], dropped["reason"]) == ("dropped", None, "partition")


async def test_log_when_packets_are_not_wanted_then_the_rest_is_there(autojump_clock: MockClock) -> None:
    """For runs of millions of packets."""
    with Network(1, log_packets=False, loss=0.5) as network:
        Traffic(network).send_all(10)
        network.log.note("x")
        await trio.sleep(1)
    assert [event.kind for event in network.log] == ["host", "host", "note"]


async def test_log_when_the_network_was_left_then_its_time_stands_still(autojump_clock: MockClock) -> None:
    """Outside of trio, too, one can still add to it."""
    network = Network(1)
    network.log.note("before")
    with network:
        await trio.sleep(2)
    await trio.sleep(5)
    network.log.note("after")
    assert [event.time for event in network.log] == [0.0, 2.0]


async def test_log_when_drawn_then_it_is_text(autojump_clock: MockClock) -> None:
    """Mermaid and SVG."""
    with Network(1) as network:
        Traffic(network).send()
        await trio.sleep(1)
    assert network.log.to_mermaid().startswith("sequenceDiagram")
    assert "<svg" in network.log.to_svg()
