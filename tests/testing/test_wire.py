"""The wire: when packets arrive, in which order, and in which task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trioserver.testing import Network, uniform

from .traffic import Traffic

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_packet_when_sent_then_arrives_after_the_latency(autojump_clock: MockClock) -> None:
    """Not before `send` has returned, and at the exact time."""
    with Network(1, latency=0.25) as network:
        traffic = Traffic(network)
        traffic.send(b"x")
        assert traffic.arrived == []
        await trio.sleep(0.2)
        assert traffic.arrived == []
        await trio.sleep(1)
    assert traffic.arrived == [(0.25, b"x")]


async def test_packet_when_there_is_no_latency_then_arrives_in_the_wires_task_all_the_same(
    autojump_clock: MockClock,
) -> None:
    """From a host to itself nothing takes time, yet no receiver is called from inside of a sender's call."""
    with Network(1) as network:
        traffic = Traffic(network)
        for number in range(3):
            traffic.send(b"%d" % number, receiver="a")
        assert traffic.arrived == []
        await trio.testing.wait_all_tasks_blocked()
        assert traffic.arrived == [(0.0, b"0"), (0.0, b"1"), (0.0, b"2")]
        traffic.send(b"while its task sleeps", receiver="a")
        await trio.testing.wait_all_tasks_blocked()
        traffic.send(b"later", sender="a")
        traffic.send(b"while it sleeps until then", receiver="a")
        await trio.testing.wait_all_tasks_blocked()
    assert traffic.data[3:] == [b"while its task sleeps", b"while it sleeps until then"]


async def test_packet_when_sent_on_arrival_of_another_then_it_arrives_as_well(
    autojump_clock: MockClock,
) -> None:
    """What arrives may send: a thousand replies without latency need no turn of any other task."""
    with Network(1, latency=0) as network:
        count = 0

        def reply(packet: Any) -> None:
            nonlocal count
            count += 1
            if count < 500:
                network.wire.send(packet, reply)

        network.wire.send(Traffic(network).send(), reply)
        await trio.testing.wait_all_tasks_blocked()
        assert (count, trio.current_time()) == (500, 0.0)


async def test_packets_when_they_answer_each_other_for_ever_then_other_tasks_have_their_turn(
    autojump_clock: MockClock,
) -> None:
    """A storm without latency can be cancelled: it does not starve the rest (P10)."""
    with Network(1, latency=0) as network:
        storm = True

        def reply(packet: Any) -> None:
            if storm:
                network.wire.send(packet, reply)

        network.wire.send(Traffic(network).send(), reply)
        for _ in range(10):
            await trio.lowlevel.checkpoint()
        storm = False


async def test_packets_when_due_at_one_time_then_arrive_in_one_go(autojump_clock: MockClock) -> None:
    """However many: they cost the scheduler one step, not one each."""

    class Steps(trio.abc.Instrument):
        count = 0

        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            self.count += 1

    with Network(1) as network:
        traffic = Traffic(network)
        await trio.testing.wait_all_tasks_blocked()
        steps = Steps()
        trio.lowlevel.add_instrument(steps)
        sent = traffic.send_all(900)
        await trio.sleep(1)
        trio.lowlevel.remove_instrument(steps)
        assert steps.count < 10
        assert traffic.data == sent
        sent += traffic.send_all(5000)  # more than are called in one go
        await trio.sleep(1)
    assert traffic.data == sent


@pytest.mark.parametrize("seed", range(5))
async def test_packets_when_latency_is_random_then_keep_their_order(
    seed: int, autojump_clock: MockClock
) -> None:
    """A long way for one holds up those behind it."""
    with Network(seed, latency=uniform(0.001, 1)) as network:
        traffic = Traffic(network)
        sent = traffic.send_all(50)
        await trio.sleep(2)
    assert traffic.data == sent
    assert traffic.times == sorted(traffic.times)
    assert len(set(traffic.times)) > 2


async def test_packets_when_the_clock_is_real_then_arrive_too() -> None:
    """Nothing here needs a mock clock."""
    with Network(1, latency=0.01) as network:
        traffic = Traffic(network)
        before = trio.current_time()
        done = trio.Event()
        network.wire.send(traffic.send(), lambda packet: done.set())
        await done.wait()
        assert trio.current_time() - before >= 0.01


async def test_packet_when_sent_then_it_is_numbered(autojump_clock: MockClock) -> None:
    """By one counter of the network."""
    with Network(1) as network:
        traffic = Traffic(network)
        assert [traffic.send().number, traffic.send(sender="c").number] == [1, 2]


async def test_timer_when_due_then_calls_unless_cancelled(autojump_clock: MockClock) -> None:
    """A timer knows whether it is still to fire."""
    with Network(1) as network:
        calls: list[tuple[float, str]] = []

        def call(name: str) -> None:
            calls.append((network.wire.now, name))

        late, never, soon = (
            network.wire.call_later(delay, call, name)
            for delay, name in ((2, "late"), (1, "never"), (0.5, "soon"))
        )
        never.cancel()
        assert (late.active, never.active, soon.active) == (True, False, True)
        await trio.sleep(1)
        assert not soon.active
        await trio.sleep(2)
        for timer in (late, never, soon):
            timer.cancel()  # harmless
    assert calls == [(0.5, "soon"), (2.0, "late")]


async def test_timers_when_cancelled_then_neither_wake_anyone_nor_stay(autojump_clock: MockClock) -> None:
    """TCP starts one for each segment: a million of them leave nothing in memory."""
    with Network(1) as network:
        for number in range(1000):
            network.wire.call_later(3600, print).cancel()
            network.wire.call_later(number, print).cancel()
        assert sum(len(queue) for queue in network.wire._queues.values()) <= 130
        assert len(network.wire._times) <= 130
        await trio.testing.wait_all_tasks_blocked()
        statistics = trio.lowlevel.current_statistics()
        assert statistics.seconds_to_next_deadline == float("inf")


async def test_timer_when_cancelled_on_arrival_at_the_same_time_then_does_not_fire(
    autojump_clock: MockClock,
) -> None:
    """What is to be called next can be called off by what is called now, a sweep included."""
    with Network(1) as network:
        calls: list[str] = []
        timers: list[Any] = []

        def cancel() -> None:
            for timer in timers:
                timer.cancel()

        network.wire.call_later(1, cancel)
        timers += [network.wire.call_later(1, calls.append, "no") for _ in range(200)]
        network.wire.call_later(1, calls.append, "yes")
        await trio.sleep(2)
    assert calls == ["yes"]


async def test_error_when_raised_on_arrival_then_the_networks_block_raises_it(
    autojump_clock: MockClock,
) -> None:
    """Not the task that sends, not trio's run as an internal error; and what is due next arrives."""
    network = Network(1)
    traffic = Traffic(network)
    with pytest.raises(ZeroDivisionError):
        with network:
            network.wire.call_later(1, lambda: 1 / 0)
            await trio.sleep(1)
            traffic.send(b"x")
            await trio.sleep(1)
    assert traffic.data == [b"x"]


async def test_error_when_the_block_raises_too_then_it_is_a_note_there(autojump_clock: MockClock) -> None:
    """The block's own exception goes on."""
    with pytest.raises(KeyError) as caught:
        with Network(1) as network:
            network.wire.call_later(1, lambda: 1 / 0)
            await trio.sleep(2)
            raise KeyError
    assert "ZeroDivisionError" in caught.value.__notes__[0]


async def test_error_when_the_block_is_cancelled_then_it_is_raised(autojump_clock: MockClock) -> None:
    """A timeout around the block does not hide it."""
    with pytest.raises(ZeroDivisionError):
        with trio.move_on_after(2), Network(1) as network:
            network.wire.call_later(1, lambda: 1 / 0)
            await trio.sleep_forever()


async def test_network_when_left_at_once_then_nothing_arrives_any_more(autojump_clock: MockClock) -> None:
    """Not what is due in this instant either."""
    with Network(1) as network:
        traffic = Traffic(network)
        traffic.send(receiver="a")
    await trio.sleep(1)
    assert traffic.arrived == []
