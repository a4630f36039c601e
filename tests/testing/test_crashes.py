"""A host crashes, and restarts: its sockets, the packets to it, and the programs on it."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trioserver.testing import Network

from .test_hosts import FakeSocket
from .traffic import Traffic, make_hosts, texts

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_crash_when_packets_are_under_way_then_they_are_lost(autojump_clock: MockClock) -> None:
    """Those to the host, and those sent to it or by it while it is down; others arrive."""
    with Network(1, latency=1) as network:
        traffic = Traffic(network)
        traffic.send(b"from", sender="b", receiver="a")
        traffic.send(b"to")
        traffic.send(b"other", receiver="c")
        await trio.sleep(0.5)
        network.host("b").crash()
        network.host("b").crash()  # harmless
        assert traffic.lost == [b"to"]
        traffic.send(b"down")
        traffic.send(b"dead", sender="b", receiver="a")
        assert traffic.lost == [b"to", b"down", b"dead"]
        await trio.sleep(2)
        network.host("b").restart()
        traffic.send(b"up")
        await trio.sleep(2)
    assert traffic.data == [b"from", b"other", b"up"]
    assert texts(network, "fault") == ["crashes with 0 sockets; 1 packet under way to it lost", "restarts"]
    assert [text.rpartition(": ")[2] for text in texts(network, "packet") if "dropped" in text] == [
        "b is down"
    ] * 2


async def test_crash_when_packets_are_held_then_they_are_lost_at_the_release(
    autojump_clock: MockClock,
) -> None:
    """Held packets to it; those it has sent are out in the network, and arrive."""
    with Network(1) as network:
        traffic = Traffic(network)
        make_hosts(network, "a", "b")
        network.hold("a", "b")
        traffic.send(b"to")
        traffic.send(b"from", sender="b", receiver="a")
        network.host("b").crash()
        network.release()
        await trio.sleep(1)
    assert (traffic.data, traffic.lost) == ([b"from"], [b"to"])


async def test_crash_when_sockets_are_open_then_they_vanish(autojump_clock: MockClock) -> None:
    """All that was kept for them is gone, and a host that is down opens none."""
    with Network(1) as network:
        host = network.host("a")
        sock = FakeSocket()
        host.new_fd(sock)
        host.tcp["port"] = host.udp["port"] = host.unix["path"] = 1
        host.crash()
        assert (sock.gone, host.sockets, host.up) == (1, {}, False)
        assert host.tcp == host.udp == host.unix == {}
        assert repr(host) == "<Host a 10.0.0.1 fd00::1 down>"
        with pytest.raises(OSError, match="down") as caught:
            host.new_fd(sock)
        assert caught.value.errno == errno.ENETDOWN
        host.restart()
        host.new_fd(sock)


async def test_program_when_it_ends_then_run_returns_what_it_returns(autojump_clock: MockClock) -> None:
    """It runs on the host, with its arguments; what it raises is raised."""
    with Network(1) as network:

        async def program(value: int) -> tuple[str, int]:
            if value < 0:
                raise KeyError(value)
            await trio.sleep(value)
            return network.current_host.name, value

        assert await network.host("a").run(program, 3) == ("a", 3)
        with pytest.raises(KeyError):
            await network.host("a").run(program, -3)
        assert network.current_host.name == "localhost"


async def test_program_when_the_host_crashes_then_it_is_cancelled_and_run_again(
    autojump_clock: MockClock,
) -> None:
    """From its beginning, at the restart, as often as it takes."""
    with Network(1) as network:
        host = network.host("a")
        starts: list[float] = []

        async def program() -> str:
            starts.append(trio.current_time())
            await trio.sleep(10)
            return "done"

        async def crash_now_and_then() -> None:
            await trio.sleep(5)
            host.crash()
            await trio.sleep(5)
            host.restart()
            await trio.sleep(5)
            host.restart()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(crash_now_and_then)
            assert await host.run(program) == "done"
    assert starts == [0, 10, 15]


async def test_program_when_it_is_started_on_a_host_that_is_down_then_waits(
    autojump_clock: MockClock,
) -> None:
    """Until the restart; the wait can be cancelled."""
    with Network(1) as network:
        host = network.host("a")
        host.crash()

        async def program() -> float:
            return trio.current_time()

        with trio.move_on_after(1) as scope:
            await host.run(program)
        assert scope.cancelled_caught
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def restart() -> None:
                await trio.sleep(1)
                host.restart()

            assert await host.run(program) == 2


async def test_program_when_it_is_cancelled_from_outside_then_that_is_no_crash(
    autojump_clock: MockClock,
) -> None:
    """It is not run again."""
    with Network(1) as network:
        host = network.host("a")
        starts = 0

        async def program() -> None:
            nonlocal starts
            starts += 1
            await trio.sleep_forever()

        with trio.move_on_after(1) as scope:
            await host.run(program)
        host.restart()
        assert scope.cancelled_caught
        assert starts == 1


@pytest.mark.parametrize("last_word", [None, "a value", OSError("a gasp"), ExceptionGroup("x", [KeyError()])])
async def test_program_when_it_answers_a_crash_then_nobody_hears(
    last_word: Any, autojump_clock: MockClock
) -> None:
    """What it returns or raises instead of being cancelled is lost, and it runs again."""
    with Network(1) as network:
        host = network.host("a")
        starts = 0

        async def program() -> int:
            nonlocal starts
            starts += 1
            if starts == 2:
                return 2
            with trio.CancelScope(shield=True):
                await trio.sleep(5)
            if isinstance(last_word, Exception):
                raise last_word
            return 1

        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def crash() -> None:
                await trio.sleep(1)
                host.restart()

            assert await host.run(program) == 2
        assert trio.current_time() == 5
        died = [text for text in texts(network, "host") if "dies" in text]
        expected = isinstance(last_word, Exception)
        assert died == ([f"a program dies with {type(last_word).__name__}"] if expected else [])


async def test_program_when_it_is_started_in_a_nursery_then_started_is_passed_on_once(
    autojump_clock: MockClock,
) -> None:
    """As for ``server.serve_forever``; what starts again after a restart starts unheard."""
    with Network(1) as network:
        host = network.host("a")
        starts = 0

        async def serve(*, task_status: trio.TaskStatus[int]) -> None:
            nonlocal starts
            starts += 1
            await trio.sleep(1)
            task_status.started(starts)
            await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(_restart_after, host, 0.5)
            assert await nursery.start(host.run, serve) == 2
            host.restart()
            await trio.sleep(2)
            assert starts == 3
            nursery.cancel_scope.cancel()


async def _restart_after(host: Any, delay: float) -> None:
    await trio.sleep(delay)
    host.restart()


async def test_program_when_it_waits_for_a_socket_then_it_is_cancelled_there(
    autojump_clock: MockClock,
) -> None:
    """A machine without power has no time to handle an error of its sockets."""
    with Network(1) as network:
        host = network.host("a")
        ends: list[str] = []

        async def receive() -> None:
            if ends:
                return
            with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
                await sock.bind(("10.0.0.1", 80))
                try:
                    await sock.recv(1)
                except BaseException as error:
                    ends.append(type(error).__name__)
                    raise

        async with trio.open_nursery() as nursery:
            nursery.start_soon(_restart_after, host, 1)
            await host.run(receive)
    assert ends == ["Cancelled"]


async def test_program_when_it_crashes_its_own_host_then_it_ends_at_its_next_checkpoint(
    autojump_clock: MockClock,
) -> None:
    """A crash may be called from anywhere."""
    with Network(1) as network:
        host = network.host("a")
        reached: list[str] = []

        async def program() -> str:
            if reached:
                return "again"
            host.restart()
            reached.append("after the crash")
            await trio.lowlevel.checkpoint()
            reached.append("after a checkpoint")
            return "never"

        assert await host.run(program) == "again"
    assert reached == ["after the crash"]
