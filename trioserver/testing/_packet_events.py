"""Packets in words, and in the event log."""

from __future__ import annotations

from typing import Any

from trioserver import format_address

from ._events import Event


def describe(protocol: str, kind: str, source: Any, destination: Any, size: int) -> str:
    """A packet in words: ``tcp DATA 10.0.0.1:50000 > 10.0.0.2:80 1460 bytes``."""
    text = f"{protocol} {kind} {format_address(source)} > {format_address(destination)}"
    return f"{text} {size} bytes" if size or kind in {"DATA", "DATAGRAM"} else text


def packet_event(
    time: float,
    protocol: str,
    kind: str,
    source: Any,
    destination: Any,
    sender: str,
    receiver: str,
    size: int,
    number: int,
    connection: int | None,
    fate: str,
    reason: str,
    *arrivals: float,
) -> Event:
    """The event of a packet that was sent; ``arrivals`` are in seconds since the network was entered.

    One that was duplicated has two, in any order: with random latency the copy may be the first.
    """
    ordered = sorted(arrivals)
    text = describe(protocol, kind, source, destination, size)
    if ordered:
        delays = " and ".join(f"{arrival - time:g} s" for arrival in ordered)
        text += f", arrives after {delays}"
    else:
        text += f", {fate}"
    fields = {
        "source": sender,
        "destination": receiver,
        "protocol": protocol,
        "packet": kind,
        "size": size,
        "number": number,
        "connection": connection,
        "fate": fate,
        "arrival": ordered[0] if ordered else None,
        "reason": reason,
    }
    if len(ordered) > 1:
        fields["copies"] = tuple(ordered[1:])
    return Event(time, sender, "packet", f"{text}: {reason}" if reason else text, fields)
