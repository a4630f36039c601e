"""What observers are told: a contract of its own."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
import trio
import trio.testing
from harness import wait_until

import trioserver
from trioserver import Outcome

from .fakes import QueueServer, ScriptedServer, assert_accounted, at_once, emfile, forever


def assert_contract(events: list[trioserver.ServerEvent]) -> None:
    """The order and the pairs that the documentation of the events promises, for one serve."""
    names = [type(event).__name__ for event in events]
    assert names[0] == "ServerStarted"
    assert names[-1] == "ServerStopped"
    for once in ("ServerStarted", "ServerDraining", "ServerStopped"):
        assert names.count(once) == 1
    assert [event.time for event in events] == sorted(event.time for event in events)
    running: set[int] = set()
    last = 0
    paused = False
    for event in events:
        if isinstance(event, trioserver.RequestAccepted):
            assert event.request_id == last + 1
            last += 1
            running.add(event.request_id)
        elif isinstance(event, trioserver.RequestEnded):
            running.remove(event.request_id)
            assert event.duration >= 0
            assert (event.error is not None) == (event.outcome is Outcome.FAILED)
        elif isinstance(event, trioserver.AcceptPaused):
            assert not paused
            paused = True
        elif isinstance(event, trioserver.AcceptResumed):
            assert paused
            paused = False
        elif isinstance(event, trioserver.ServerDraining):
            assert event.active == len(running)
    assert running == set()


@pytest.mark.parametrize("seed", range(20))
async def test_events_keep_their_contract_in_any_run(
    autojump_clock: trio.testing.MockClock, seed: int
) -> None:
    """Whatever happens, in pairs and in order: failures, limits, exhaustion, cancellation, shutdown."""
    rng = random.Random(seed)

    async def handler(request: int, client_address: Any, server: Any) -> None:
        await trio.sleep(rng.choice([0, 0.001, 0.1, 5]))
        if rng.random() < 0.3:
            raise ValueError(request)

    script = [emfile() if rng.random() < 0.3 else number for number in range(60)]
    server = ScriptedServer(script, handler, max_requests=rng.choice([None, 1, 3]))
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        for _ in range(rng.randint(0, 20)):
            await trio.sleep(rng.choice([0, 0.01, 1]))
            if server.requests and rng.random() < 0.5:
                rng.choice(server.requests).cancel()
        report = await server.shutdown(rng.choice([0, 2, None]))
    assert_contract(server.recorder)
    assert_accounted(server, report)
    stopped = server.recorder[-1]
    assert isinstance(stopped, trioserver.ServerStopped)
    assert stopped.report == report


@pytest.mark.parametrize("stop", ["cancel", "error", "shutdown", "fatal"])
async def test_each_way_of_stopping_tells_draining_and_stopped(stop: str) -> None:
    """Also an error or a cancellation begins with a drain, of no length."""

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        if request == "fatal":
            raise KeyboardInterrupt
        await trio.sleep_forever()

    class Server(QueueServer):
        async def get_request(self) -> tuple[Any, Any]:
            request, client_address = await super().get_request()
            if request == "error":
                raise ValueError
            return request, client_address

    server = Server(handler)
    scope = trio.CancelScope()
    caught: list[BaseException] = []

    async def serve(task_status: trio.TaskStatus[Any]) -> None:
        with scope:
            try:
                await server.serve_forever(task_status=task_status)
            except (ValueError, KeyboardInterrupt) as error:
                caught.append(error)

    async with trio.open_nursery() as nursery:
        await nursery.start(serve)
        server.put("stays")
        await wait_until(lambda: server.requests)
        if stop == "cancel":
            scope.cancel()
        elif stop == "shutdown":
            server.request_shutdown()
        else:
            server.put(stop)
    assert_contract(server.recorder)
    assert len(caught) == (stop in ("error", "fatal"))


async def test_events_are_frozen() -> None:
    """An observer can not change what the next one is told."""
    server = QueueServer(at_once)
    async with server.running():
        server.put(1)
        await wait_until(lambda: server.closed)
    assert_contract(server.recorder)
    for event in server.recorder:
        assert dataclasses.is_dataclass(event)
        with pytest.raises(dataclasses.FrozenInstanceError):
            event.time = 0.0  # type: ignore[misc]
        assert not hasattr(event, "__dict__")


async def test_an_observer_that_was_removed_hears_nothing_more() -> None:
    """Removing twice is an error, removing during an event is not."""
    server = QueueServer(at_once)
    heard: list[str] = []

    def once(event: trioserver.ServerEvent) -> None:
        heard.append(type(event).__name__)
        server.remove_observer(once)

    server.add_observer(once)
    async with server.running():
        server.put(1)
        await wait_until(lambda: server.closed)
    assert heard == ["ServerStarted"]
    assert_contract(server.recorder)
    with pytest.raises(ValueError, match="not in list"):
        server.remove_observer(once)


async def test_a_run_that_never_started_tells_nothing() -> None:
    """A server that could not be bound was neither started nor stopped."""

    class Unbindable(QueueServer):
        async def server_bind(self) -> None:
            raise OSError(98, "Address already in use")

    server = Unbindable(forever)
    with pytest.raises(OSError, match="in use"):
        await server.serve_forever()
    assert server.recorder == []
