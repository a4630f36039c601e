"""trio's happy eyeballs (RFC 8305), on links that are slow, broken, or lead to nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pytest
import trio

from trioserver.testing import Network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

    Attempt = tuple[str, float, Literal["success", "error"]]

NAME = "many.example"


@dataclass
class Outcome:
    """What became of connecting to a name."""

    winner: str | None
    error: OSError | None
    duration: float
    began: dict[str, float]  # when the first SYN was sent to each address, in that order
    left_open: int


async def connect(
    attempts: Sequence[Attempt],
    *,
    client: Sequence[str] = ("10.9.9.9", "fd00::9:9"),
    happy_eyeballs_delay: float | None = 0.25,
) -> Outcome:
    """Connect to a name with these addresses: how long each takes to answer, and whether it says yes."""
    with Network(1) as network:
        network.host("client", *client)
        async with trio.open_nursery() as nursery:
            for number, (address, seconds, result) in enumerate(attempts):
                name = f"h{number}"
                with network.host(name, address):
                    if result == "success":
                        await nursery.start(trio.serve_tcp, wait_for_ever, 80)
                network.link("client", name, latency=seconds / 2)
            network.dns.add(NAME, *(address for address, _, _ in attempts))
            winner, error = None, None
            began = trio.current_time()
            with network.host("client") as host:
                try:
                    stream = await trio.open_tcp_stream(NAME, 80, happy_eyeballs_delay=happy_eyeballs_delay)
                except OSError as caught:
                    error = caught
                else:
                    winner = stream.socket.getpeername()[0]
            duration = trio.current_time() - began
            left_open = len(host.sockets)
            nursery.cancel_scope.cancel()
    return Outcome(winner, error, round(duration, 6), first_syns(network), left_open)


def first_syns(network: Network) -> dict[str, float]:
    """When the first SYN was sent to each address."""
    found: dict[str, float] = {}
    for event in network.log:
        if event.fields.get("packet") == "SYN":
            (address,) = network.hosts[event.fields["destination"]].addresses
            found.setdefault(address, round(event.time, 6))
    return found


async def wait_for_ever(stream: trio.SocketStream) -> None:
    """A handler."""
    await trio.sleep_forever()


async def test_open_when_there_is_one_address_then_it_takes_as_long_as_that_does(
    autojump_clock: MockClock,
) -> None:
    """One that answers, one that refuses, each soon or late."""
    for seconds in (0.1, 0.9):
        outcome = await connect([("10.1.1.1", seconds, "success")])
        assert (outcome.winner, outcome.duration, outcome.left_open) == ("10.1.1.1", seconds, 1)
        outcome = await connect([("10.1.1.1", seconds, "error")])
        assert isinstance(outcome.error, OSError)
        assert (outcome.winner, outcome.duration, outcome.left_open) == (None, seconds, 0)


async def test_open_when_addresses_are_slow_then_the_next_one_is_tried_after_the_delay(
    autojump_clock: MockClock,
) -> None:
    """The third wins, although it began half a second later; the others are given up."""
    attempts: list[Attempt] = [
        ("10.1.1.1", 1, "success"),
        ("10.2.2.2", 1, "success"),
        ("10.3.3.3", 0.2, "success"),
    ]
    outcome = await connect(attempts)
    assert (outcome.winner, outcome.duration, outcome.left_open) == ("10.3.3.3", 0.7, 1)
    assert outcome.began == {"10.1.1.1": 0, "10.2.2.2": 0.25, "10.3.3.3": 0.5}
    assert await connect(attempts, happy_eyeballs_delay=None) == outcome


async def test_open_when_one_answers_in_time_then_later_ones_are_not_tried(autojump_clock: MockClock) -> None:
    """The third address gets no packet."""
    outcome = await connect(
        [("10.1.1.1", 1, "success"), ("10.2.2.2", 0.1, "success"), ("10.3.3.3", 0.2, "success")]
    )
    assert (outcome.winner, outcome.duration) == ("10.2.2.2", 0.35)
    assert outcome.began == {"10.1.1.1": 0, "10.2.2.2": 0.25}


async def test_open_when_the_delay_is_longer_then_the_first_has_longer(autojump_clock: MockClock) -> None:
    """With 0.45 s between attempts the first one wins."""
    outcome = await connect(
        [("10.1.1.1", 1, "success"), ("10.2.2.2", 1, "success"), ("10.3.3.3", 0.2, "success")],
        happy_eyeballs_delay=0.45,
    )
    assert (outcome.winner, outcome.duration) == ("10.1.1.1", 1)
    assert outcome.began == {"10.1.1.1": 0, "10.2.2.2": 0.45, "10.3.3.3": 0.9}


async def test_open_when_addresses_refuse_then_the_next_is_tried_at_once(autojump_clock: MockClock) -> None:
    """Nobody waits for the delay after a refusal."""
    outcome = await connect(
        [
            ("10.1.1.1", 0.1, "error"),
            ("10.2.2.2", 0.2, "error"),
            ("10.3.3.3", 10, "success"),
            ("10.4.4.4", 0.24, "success"),
        ]
    )
    assert (outcome.winner, outcome.duration, outcome.left_open) == ("10.4.4.4", 0.79, 1)
    assert outcome.began == {"10.1.1.1": 0, "10.2.2.2": 0.1, "10.3.3.3": 0.3, "10.4.4.4": 0.55}


async def test_open_when_all_refuse_then_the_error_has_them_all(autojump_clock: MockClock) -> None:
    """It takes as long as the slowest."""
    outcome = await connect(
        [
            ("10.1.1.1", 0.1, "error"),
            ("10.2.2.2", 0.2, "error"),
            ("10.3.3.3", 10, "error"),
            ("10.4.4.4", 0.25, "error"),
        ]
    )
    assert isinstance(outcome.error, OSError)
    assert isinstance(outcome.error.__cause__, ExceptionGroup)
    assert [type(one) for one in outcome.error.__cause__.exceptions] == [ConnectionRefusedError] * 4
    assert f"all attempts to connect to {NAME}:80 failed" in str(outcome.error.__cause__)
    assert (outcome.duration, outcome.left_open) == (10.3, 0)


async def test_open_when_several_answer_at_the_same_moment_then_one_is_kept(
    autojump_clock: MockClock,
) -> None:
    """The others are closed, whichever it is."""
    outcome = await connect(
        [
            ("10.1.1.1", 0.5, "error"),
            ("10.2.2.2", 10, "success"),
            ("10.3.3.3", 9, "success"),
            ("10.4.4.4", 8, "success"),
            ("10.5.5.5", 0.5, "error"),
        ],
        happy_eyeballs_delay=1,
    )
    assert outcome.winner in {"10.2.2.2", "10.3.3.3", "10.4.4.4"}
    assert (outcome.duration, outcome.left_open) == (10.5, 1)
    assert outcome.began == {
        "10.1.1.1": 0,
        "10.2.2.2": 0.5,
        "10.3.3.3": 1.5,
        "10.4.4.4": 2.5,
        "10.5.5.5": 3.5,
    }


async def test_open_when_families_are_mixed_then_the_other_one_is_tried_second(
    autojump_clock: MockClock,
) -> None:
    """RFC 8305 section 4: an IPv6 address goes before the second of IPv4."""
    outcome = await connect(
        [("10.1.1.1", 10, "error"), ("10.2.2.2", 1, "success"), ("fd00::1:3", 0.5, "success")],
        happy_eyeballs_delay=1,
    )
    assert (outcome.winner, outcome.duration) == ("fd00::1:3", 1.5)
    assert outcome.began == {"10.1.1.1": 0, "fd00::1:3": 1}


@pytest.mark.parametrize(
    ("client", "slow", "winner"),
    [("fd00::9:9", "fd00::1:1", "fd00::1:3"), ("10.9.9.9", "10.2.2.2", "10.4.4.4")],
)
async def test_open_when_the_host_lacks_a_family_then_it_loses_no_time_with_it(
    client: str, slow: str, winner: str, autojump_clock: MockClock
) -> None:
    """Such an address is unreachable at once, and no packet is sent."""
    seconds = {slow: 10, winner: 0.1}
    addresses = ("fd00::1:1", "10.2.2.2", "fd00::1:3", "10.4.4.4")
    outcome = await connect(
        [(address, seconds.get(address, 0), "success") for address in addresses],
        client=[client],
        happy_eyeballs_delay=1,
    )
    assert (outcome.winner, outcome.duration) == (winner, 1.1)
    assert outcome.began == {slow: 0, winner: 1}


async def test_open_when_it_is_cancelled_then_no_socket_is_left(autojump_clock: MockClock) -> None:
    """Four attempts are under way."""
    with Network(1) as network:
        servers = [network.host(f"h{number}", f"10.{number}.0.1") for number in range(1, 5)]
        network.dns.add(NAME, *(host.addresses[0] for host in servers))
        with network.host("client") as client:
            network.partition(client, servers)
            with trio.move_on_after(5) as scope:
                await trio.open_tcp_stream(NAME, 80)
            assert scope.cancelled_caught
            assert trio.current_time() == 5
            assert len(first_syns(network)) == 4
            assert client.sockets == {}


async def test_open_when_a_name_fails_then_so_does_it(autojump_clock: MockClock) -> None:
    """No such name, a DNS that does not answer, and one that answers late."""
    with Network(1) as network, network.host("client"):
        with pytest.raises(OSError, match="Name or service not known"):
            await trio.open_tcp_stream("nowhere.example", 80)
        network.dns.add(NAME, "10.1.1.1")
        network.dns.fail(NAME)
        with pytest.raises(OSError, match="Temporary failure"):
            await trio.open_tcp_stream(NAME, 80)
        network.dns.recover(NAME)
        network.dns.delay = 3
        network.host("server", "10.1.1.1")
        began = trio.current_time()
        with pytest.raises(OSError, match="all attempts to connect"):
            await trio.open_tcp_stream(NAME, 80)
        assert trio.current_time() - began == pytest.approx(3.002)


async def test_open_when_it_has_a_local_address_then_it_comes_from_there(autojump_clock: MockClock) -> None:
    """One of the host's addresses; of the wrong family, the error says so; a foreign one fails."""
    seen: list[str] = []

    async def note(stream: trio.SocketStream) -> None:
        seen.append(stream.socket.getpeername()[0])

    with Network(1) as network:
        network.host("client", "10.9.0.1", "10.9.0.2")
        async with trio.open_nursery() as nursery:
            with network.host("server"):
                await nursery.start(trio.serve_tcp, note, 80)
            with network.host("client"):
                for address in ("10.9.0.2", "10.9.0.1", "0.0.0.0"):
                    stream = await trio.open_tcp_stream("server", 80, local_address=address)
                    assert await stream.receive_some() == b""
                    await stream.aclose()
                assert seen == ["10.9.0.2", "10.9.0.1", "10.9.0.1"]
                server = network.host("server").addresses[0]
                for address in ("::", "10.1.1.1"):
                    with pytest.raises(OSError, match="all attempts to connect"):
                        await trio.open_tcp_stream(server, 80, local_address=address)
            nursery.cancel_scope.cancel()


async def test_open_when_its_arguments_are_wrong_then_it_says_so(autojump_clock: MockClock) -> None:
    """trio checks them, before it asks anybody."""
    with Network(1):
        with pytest.raises(ValueError, match="host"):
            await trio.open_tcp_stream(None, 80)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            await trio.open_tcp_stream("10.0.0.1", b"80")  # type: ignore[arg-type]
