"""The network as a whole: entering and leaving it, its seed, and what it watches."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

import trioserver
from trioserver.testing import Network

from .test_hosts import FakeSocket
from .traffic import Traffic, texts

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_network_when_entered_then_installed_and_when_left_then_what_was_before_is_back() -> None:
    """Also one inside of another, and when the block raises."""

    def installed() -> tuple[Any, Any]:
        factory = trio.socket.set_custom_socket_factory(None)
        resolver = trio.socket.set_custom_hostname_resolver(None)
        trio.socket.set_custom_socket_factory(factory)
        trio.socket.set_custom_hostname_resolver(resolver)
        return factory, resolver

    assert installed() == (None, None)
    inner: tuple[Any, Any] = (None, None)
    with Network(1):
        outer = installed()
        with pytest.raises(KeyError):
            with Network(2):
                inner = installed()
                raise KeyError
        assert installed() == outer
    assert installed() == (None, None)
    assert None not in {*outer, *inner}
    assert len({*outer, *inner}) == 4


async def test_socket_when_made_in_the_block_then_it_is_of_the_current_host() -> None:
    """Through trio's own function; after the block it is the kernel's again."""
    with Network(1) as network, network.host("a") as host:
        with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            made: list[object] = list(host.sockets.values())
            assert made == [sock]
        assert host.sockets == {}
    with trio.socket.socket() as sock:
        assert sock.fileno() < 2**30


async def test_network_when_left_then_open_sockets_are_gone_and_the_task_ends() -> None:
    """Nobody waits for ever for a network that is not there, and nothing of it stays in the run."""
    before = trio.lowlevel.current_statistics().tasks_living
    with Network(1) as network:
        sock = FakeSocket()
        network.host("a").new_fd(sock)
        await trio.testing.wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == before + 1
    await trio.testing.wait_all_tasks_blocked()
    assert sock.gone == 1
    assert trio.lowlevel.current_statistics().tasks_living == before


async def test_network_when_entered_a_second_time_then_lifecycle_error() -> None:
    """Inside of itself or afterwards."""
    network = Network(1)
    with network, pytest.raises(trioserver.LifecycleError, match="entered once"):
        network.__enter__()
    with pytest.raises(trioserver.LifecycleError, match="entered once"):
        network.__enter__()


def test_network_when_entered_outside_of_trio_then_lifecycle_error_and_it_can_be_entered_later() -> None:
    """The message says where it belongs."""
    network = Network(1)
    with pytest.raises(trioserver.LifecycleError, match=r"inside of trio\.run"):
        network.__enter__()

    async def main() -> None:
        with network:
            await trio.lowlevel.checkpoint()

    trio.run(main)


@pytest.mark.parametrize("seed", [-1, 1.5, "1", True])
def test_seed_when_it_is_no_number_then_config_error(seed: Any) -> None:
    """Only whole numbers, so that one can be given on a command line."""
    with pytest.raises(trioserver.ConfigError, match="seed"):
        Network(seed)


def test_seed_when_none_then_one_is_chosen() -> None:
    """Another one each time, with which the same numbers come again."""
    network = Network()
    assert network.seed != Network().seed
    assert Network(network.seed).random.random() == network.random.random()
    assert repr(Network(5)) == "<Network with seed 5 and 0 hosts>"


def test_log_packets_when_it_is_no_flag_then_config_error() -> None:
    """As every option."""
    options: dict[str, Any] = {"log_packets": 2}
    with pytest.raises(trioserver.ConfigError, match="log_packets"):
        Network(1, **options)


def test_connections_when_there_are_none_then_the_list_is_empty() -> None:
    """Numbers of connections count up from 1."""
    network = Network(1)
    assert network.connections == []
    assert [network.next_connection() for _ in range(2)] == [1, 2]


class FakeServer:
    """Has observers."""

    def __init__(self) -> None:
        self.observers: list[trioserver.Observer] = []

    def add_observer(self, observer: trioserver.Observer) -> None:
        """As a server."""
        self.observers.append(observer)


async def test_server_when_watched_then_its_events_are_in_the_log(autojump_clock: MockClock) -> None:
    """As events of the host that is current when `watch` is called, in words that stay the same."""
    with Network(1) as network:
        server = FakeServer()
        with network.host("s"):
            network.watch(server)
        report = trioserver.ShutdownReport(accepted=1, finished=0, failed=1, cancelled=0, rejected=0)
        events: list[trioserver.ServerEvent] = [
            trioserver.ServerStarted(time=0, server_address=("10.0.0.1", 80)),
            trioserver.RequestAccepted(time=0, request_id=1, client_address=("fd00::2", 5)),
            trioserver.RequestEnded(
                time=0,
                request_id=1,
                client_address=("fd00::2", 5),
                outcome=trioserver.Outcome.FAILED,
                duration=0.25,
                bytes_received=0,
                bytes_sent=0,
                error=KeyError(object()),
            ),
            trioserver.AcceptPaused(time=0, reason="EMFILE", error=None),
            trioserver.AcceptResumed(time=0),
            trioserver.ServerDraining(time=0, grace_period=2, active=3),
            trioserver.ServerDraining(time=0, grace_period=None, active=0),
            trioserver.ServerStopped(time=0, report=report),
            trioserver.ServerEvent(time=0),
        ]
        for event in events:
            server.observers[0](event)
    logged = [event for event in network.log if event.kind in {"server", "request"}]
    assert {event.host for event in logged} == {"s"}
    assert [event.text for event in logged] == [
        "FakeServer serves 10.0.0.1:80",
        "FakeServer request 1 from [fd00::2]:5 begins",
        "FakeServer request 1 failed with KeyError after 0.25 s",
        "FakeServer pauses accepting: EMFILE",
        "FakeServer accepts again",
        "FakeServer drains for 2 s, 3 running",
        "FakeServer drains without bound, 0 running",
        "FakeServer has stopped: 1 accepted, 0 finished, 1 failed, 0 cancelled, 0 rejected",
        "FakeServer ServerEvent",
    ]
    assert logged[2].fields["outcome"] == "failed"


async def test_network_when_the_seed_is_the_same_then_so_is_the_log(autojump_clock: MockClock) -> None:
    """Byte for byte, with chance in everything; another seed gives another one."""

    async def text(seed: int) -> str:
        with Network(seed, loss=0.1, duplication=0.1, reordering=0.1, latency=0.01) as network:
            traffic = Traffic(network)
            traffic.send_all(100)
            network.host("c")
            network.partition({"a", "b"}, {"c"})
            await trio.sleep(network.random.random())
            network.log.note("end")
        return str(network.log)

    assert await text(1) == await text(1) != await text(2)
    assert texts(Network(1), "packet") == []
