"""P6: at most ``max_requests`` requests exist, and the permit is taken before accept."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio
import trio.testing
from harness import client_of, receive_all, wait_until

import trioserver

from .fakes import QueueServer, ScriptedServer, assert_accounted, at_once, forever


class Limited(QueueServer):
    """Asserts its limit at every event, and remembers the most requests there were."""

    most = 0

    def watch(self) -> None:
        def check(event: trioserver.ServerEvent) -> None:
            self.most = max(self.most, len(self.requests))

        self.add_observer(check)


@pytest.mark.parametrize("seed", range(20))
async def test_p6_the_limit_holds_at_every_instant_under_random_cancellation(seed: int) -> None:
    """Of random length, cancelled at random: never more than the limit, all served, no wake-up lost."""
    rng = random.Random(seed)
    limit, count = rng.randint(1, 4), 40

    async def handler(request: int, client_address: Any, server: Any) -> None:
        for _ in range(rng.randint(0, 6)):
            await trio.lowlevel.checkpoint()
        if rng.random() < 0.3:
            await trio.sleep_forever()  # until it is cancelled

    server = Limited(handler, max_requests=limit)
    server.watch()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        server.put(*range(count))
        while len(server.closed) < count:
            await trio.lowlevel.checkpoint()
            if server.requests and rng.random() < 0.4:
                rng.choice(server.requests).cancel()
        report = await server.shutdown()
    assert server.most <= limit
    assert_accounted(server, report)
    assert report.accepted == count


async def test_p6_get_request_is_not_called_while_the_server_is_full() -> None:
    """The permit comes first: what waits, waits where it came from."""
    server = QueueServer(forever, max_requests=2)
    async with server.running():
        server.put(1, 2, 3)
        await trio.testing.wait_all_tasks_blocked()
        assert server.taken == [1, 2]
        assert server.calls == 2
        assert server.names()[-1] == "AcceptPaused"
        server.requests[0].cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert server.taken == [1, 2, 3]
        assert server.calls == 3
        assert server.names()[3:7] == ["AcceptPaused", "RequestEnded", "AcceptResumed", "RequestAccepted"]
    assert_accounted(server)


async def test_p6_a_request_that_closes_still_counts() -> None:
    """The farewell to a client is part of its request: a descriptor is in use until its end."""
    release = trio.Event()

    class Slow(QueueServer):
        async def shutdown_request(self, request: Any) -> None:
            await release.wait()
            await self.close_request(request)

    server = Slow(at_once, max_requests=1)
    async with server.running():
        server.put(1, 2)
        await trio.testing.wait_all_tasks_blocked()
        assert server.taken == [1]
        release.set()
        await wait_until(lambda: server.closed == [1, 2])
    assert_accounted(server)


@pytest.mark.parametrize("limit", [5, None])
async def test_p6_a_raised_limit_takes_effect_at_once(limit: int | None) -> None:
    """No request has to end first."""
    server = QueueServer(forever, max_requests=1)
    async with server.running():
        server.put(1, 2, 3)
        await trio.testing.wait_all_tasks_blocked()
        assert len(server.requests) == 1
        server.max_requests = limit
        await trio.testing.wait_all_tasks_blocked()
        assert len(server.requests) == 3
    assert_accounted(server)


@pytest.mark.parametrize("limit", [1, 2])
async def test_p6_a_lowered_limit_takes_effect_at_once(limit: int) -> None:
    """Also for a `get_request` that waits already: nothing is accepted above the new limit."""
    server = QueueServer(forever, max_requests=5)
    async with server.running():
        server.put(1, 2)
        await trio.testing.wait_all_tasks_blocked()
        server.max_requests = limit
        await trio.testing.wait_all_tasks_blocked()
        server.put(3)
        await trio.testing.wait_all_tasks_blocked()
        assert server.taken == [1, 2]
        for record in server.requests:
            record.cancel()
        await wait_until(lambda: server.taken == [1, 2, 3])
        server.max_requests = limit + 1  # and up again, a few times, while it waits
        server.max_requests = limit
        server.max_requests = limit + 1
        server.put(4)
        await wait_until(lambda: len(server.requests) == 2)
    assert_accounted(server)


async def test_p6_an_unusable_limit_is_refused_and_the_old_one_kept() -> None:
    """A mistake while serving is an exception where it was made, and nothing else."""
    server = QueueServer(forever, max_requests=1)
    async with server.running():
        for bad in (0, -1, 1.5, True, "5"):
            with pytest.raises(trioserver.ConfigError, match="max_requests"):
                server.max_requests = bad  # type: ignore[assignment]
        assert server.max_requests == 1
        server.put(1, 2)
        await trio.testing.wait_all_tasks_blocked()
        assert len(server.requests) == 1
    assert_accounted(server)


async def test_p6_a_server_that_is_full_stops_like_any_other() -> None:
    """A shutdown while accept waits for room ends that wait."""
    server = ScriptedServer(range(100), forever, max_requests=3)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        await trio.testing.wait_all_tasks_blocked()
        report = await server.shutdown()
    assert report.cancelled == 3
    assert_accounted(server, report)


async def test_p6_clients_wait_in_the_kernels_backlog_and_are_served_later(io_path: str) -> None:
    """Above the limit connections are made and not accepted; each gets its answer in its turn."""
    served: list[bytes] = []
    most = 0

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        nonlocal most
        most = max(most, len(server.requests))
        served.append(bytes(await request.receive_some(1)))
        await request.send_all(b"done")

    answers: list[bytes] = []

    async def client(server: trioserver.TCPServer, number: int) -> None:
        async with client_of(server) as stream:
            await stream.send_all(b"%d" % number)
            answers.append(await receive_all(stream))

    server = trioserver.TCPServer(("127.0.0.1", 0), handler, max_requests=2)
    async with server.running():
        async with client_of(server), client_of(server):  # two that say nothing
            await wait_until(lambda: len(server.requests) == 2)
            async with trio.open_nursery() as nursery:
                for number in range(8):
                    nursery.start_soon(client, server, number)
                await trio.testing.wait_all_tasks_blocked()
                assert served == []
                assert server.statistics().accepted == 2
                for record in server.requests:
                    record.cancel()
    assert answers == [b"done"] * 8
    assert sorted(served) == [b"%d" % number for number in range(8)]
    assert most == 2
