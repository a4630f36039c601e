"""Who may share a port, and who gets what comes there: the table that a host's sockets have in common."""

from __future__ import annotations

import errno

import pytest

from trioserver.testing._ports import FIRST_EPHEMERAL_PORT, LAST_PORT, Binding, PortTable

from .sockets_kit import fails_with

CLIENT = ("10.0.0.9", 50000)


def binding(
    host: str, port: int = 80, *, dual: bool = False, address: bool = False, reuse_port: bool = False
) -> Binding:
    """A binding of nobody's."""
    return Binding(None, host, port, dual=dual, reuse_address=address, reuse_port=reuse_port)


@pytest.mark.parametrize(
    ("one", "other", "conflict"),
    [
        (binding("10.0.0.1"), binding("10.0.0.1"), True),
        (binding("10.0.0.1"), binding("10.0.0.2"), False),
        (binding("10.0.0.1"), binding("10.0.0.1", 81), False),
        (binding("10.0.0.1"), binding("0.0.0.0"), True),
        (binding("10.0.0.1"), binding("::"), False),
        (binding("10.0.0.1"), binding("::", dual=True), True),
        (binding("0.0.0.0"), binding("::"), False),
        (binding("0.0.0.0"), binding("::", dual=True), True),
        (binding("::1"), binding("::"), True),
        (binding("::1"), binding("0.0.0.0"), False),
        (binding("0.0.0.0", address=True), binding("0.0.0.0", address=True), False),
        (binding("0.0.0.0", address=True), binding("0.0.0.0"), True),
        (binding("0.0.0.0", reuse_port=True), binding("0.0.0.0", reuse_port=True), False),
        (binding("0.0.0.0", reuse_port=True), binding("0.0.0.0", address=True), True),
    ],
)
def test_bind_when_another_has_the_port_then_options_and_addresses_decide(
    one: Binding, other: Binding, conflict: bool
) -> None:
    """As Linux: in either order."""
    for first, second in [(one, other), (other, one)]:
        table = PortTable()
        table.bind(first)
        if conflict:
            with fails_with(errno.EADDRINUSE):
                table.bind(second)
            table.release(first)
        table.bind(second)


def test_bind_when_one_listens_then_reuse_of_addresses_is_no_excuse() -> None:
    """SO_REUSEADDR shares a port with connections and with those that are only bound."""
    table = PortTable()
    first, second = (binding("0.0.0.0", address=True) for _ in range(2))
    table.bind(first)
    table.bind(second)
    first.listening = True
    table.receive(first)
    second.listening = True
    with fails_with(errno.EADDRINUSE):
        table.receive(second)
    with fails_with(errno.EADDRINUSE):
        table.bind(binding("0.0.0.0", address=True))


def test_find_when_several_fit_then_the_closest_is_found() -> None:
    """Its own address, then the wildcard of its family, then that of both families."""
    table = PortTable()
    both = binding("::", dual=True, address=True)
    wildcard = binding("0.0.0.0", address=True)
    own = binding("10.0.0.1", address=True)
    for expected in (both, wildcard, own):
        table.bind(expected)
        table.receive(expected)
        assert table.find(("10.0.0.1", 80), CLIENT) is expected
    assert table.find(("10.0.0.2", 80), CLIENT) is wildcard
    assert table.find(("fd00::1", 80), CLIENT) is both
    assert table.find(("10.0.0.1", 81), CLIENT) is None
    for gone in (own, wildcard, both):
        table.release(gone)
        table.release(gone)  # harmless
    assert table.find(("10.0.0.1", 80), CLIENT) is None


def test_port_zero_when_bound_then_ports_are_counted_up_and_used_again_when_free() -> None:
    """From 49152, as RFC 6335 has it; when all are taken that is EADDRINUSE."""
    table = PortTable()
    taken = binding("0.0.0.0", FIRST_EPHEMERAL_PORT + 1)
    table.bind(taken)
    found = []
    for _ in range(LAST_PORT - FIRST_EPHEMERAL_PORT):
        one = binding("0.0.0.0", 0)
        table.bind(one)
        found.append(one)
    assert [one.port for one in found[:3]] == [49152, 49154, 49155]
    with fails_with(errno.EADDRINUSE):
        table.bind(binding("0.0.0.0", 0))
    table.release(found[7])
    again = binding("0.0.0.0", 0)
    table.bind(again)
    assert again.port == found[7].port


def test_automatic_ports_when_usable_then_they_are_shared() -> None:
    """As connections to different servers do; a port that was asked for by number is not."""
    table = PortTable()
    fixed = binding("10.0.0.1", FIRST_EPHEMERAL_PORT)
    table.bind(fixed)
    ports = []
    for _ in range(LAST_PORT - FIRST_EPHEMERAL_PORT + 1):
        one = binding("10.0.0.1", 0)
        table.bind_automatically(one, lambda _: True)
        ports.append(one.port)
    assert ports[0] == FIRST_EPHEMERAL_PORT + 1
    assert ports[-1] == ports[0]
    with fails_with(errno.EADDRNOTAVAIL):
        table.bind_automatically(binding("10.0.0.1", 0), lambda _: False)
