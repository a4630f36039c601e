"""How long the pollers look for more before they sleep: some turns, and more seldom where it is in vain."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import pytest
import trio
import trio.testing

import trioserver
from trioserver._transports.busy_polling import BusyPolling

TURNS = 6


def turns_until_sleep(polling: BusyPolling) -> int:
    """After something was found: in how many turns it looks in vain."""
    assert polling.look_again(True)
    turns = 1
    while polling.look_again(False):
        turns += 1
        assert turns < 100
    return turns


def test_busy_polling_when_something_was_found_then_it_looks_again_however_often_that_is() -> None:
    polling = BusyPolling()
    assert all(polling.look_again(True) for _ in range(1000))


def test_busy_polling_when_nothing_comes_then_it_sleeps_after_a_few_turns() -> None:
    assert turns_until_sleep(BusyPolling()) == TURNS


def test_busy_polling_when_it_was_in_vain_then_it_is_tried_ever_more_seldom() -> None:
    """Sleeps without it between two tries: 1, 2, 4 and so on, and never more than 64."""
    polling = BusyPolling()
    sleeps = [turns_until_sleep(polling) for _ in range(300)]
    tries = [number for number, turns in enumerate(sleeps) if turns == TURNS]
    assert [later - earlier - 1 for earlier, later in itertools.pairwise(tries)] == [
        *(1, 2, 4, 8, 16, 32, 64, 64, 64)
    ]
    assert {turns for turns in sleeps if turns != TURNS} == {1}


@pytest.mark.parametrize("turn", range(1, TURNS))
def test_busy_polling_when_it_paid_once_then_the_next_failure_is_as_the_one_before(turn: int) -> None:
    """Something came in one of the turns that would have been slept through, as it does now and then."""
    polling = BusyPolling()
    sleeps = [turns_until_sleep(polling) for _ in range(1 + 1 + 1 + 2 + 1 + 4 + 1 + 8)]  # tries, and skips
    assert sleeps[-9:] == [TURNS] + [1] * 8
    for _ in range(turn):
        assert polling.look_again(False)
    sleeps = [turns_until_sleep(polling) for _ in range(10)]
    assert sleeps == [TURNS] + [1] * 8 + [TURNS]


def test_busy_polling_when_it_pays_each_time_then_no_sleep_is_skipped_after_a_failure() -> None:
    polling = BusyPolling()
    for _ in range(300):
        turns_until_sleep(polling)
    while not polling.look_again(False):
        pass
    for _ in range(8):
        assert polling.look_again(True)
        assert polling.look_again(False)
    assert [turns_until_sleep(polling) for _ in range(3)] == [TURNS, 1, TURNS]


class EchoLines(trioserver.StreamRequestHandler):
    async def handle(self) -> None:
        async for line in self.rfile:
            await self.wfile.write(line)


class EchoInPlace(trioserver.CallbackRequestHandler):
    def data_received(self, data: bytes) -> None:
        self.write(data)


@pytest.mark.skipif(sys.platform != "linux", reason="they are epolls")
@pytest.mark.parametrize("handler", [EchoLines, EchoInPlace])
async def test_server_when_nobody_asks_any_more_then_it_sleeps(
    handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    look_again = BusyPolling.look_again

    def noting(self: BusyPolling, found: bool) -> bool:
        asked.append(found)
        return look_again(self, found)

    monkeypatch.setattr(BusyPolling, "look_again", noting)
    server = trioserver.TCPServer(("127.0.0.1", 0), handler, portable_io=False)
    async with server.running(), await trio.open_tcp_stream(*server.server_address[:2]) as client:
        for _ in range(3):
            await client.send_all(b"line\n")
            assert await client.receive_some() == b"line\n"
            await trio.testing.wait_all_tasks_blocked()
            assert True in asked
            assert asked[-1] is False
            asked.clear()
            await trio.testing.wait_all_tasks_blocked()
            assert asked == []
