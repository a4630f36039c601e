"""P6 and P7 over random histories: what the scenarios of the other files do not think of."""

from __future__ import annotations

import errno
from typing import Any

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

import trioserver

from .fakes import QueueServer, ScriptedServer, assert_accounted, at_once, os_error

Step = tuple[str, int]

steps = st.lists(
    st.tuples(st.sampled_from(["put", "finish", "cancel", "limit", "turn"]), st.integers(1, 5)), max_size=40
)


@given(history=steps, limit=st.integers(1, 5))
@settings(max_examples=100)
def test_p6_the_limit_holds_and_no_place_is_left_free_whatever_happens(
    history: list[Step], limit: int
) -> None:
    """No request is accepted at the limit, and none waits while there is room."""
    done: dict[int, trio.Event] = {}

    async def until_done(request: int, client_address: Any, server: Any) -> None:
        await done[request].wait()

    async def main() -> None:
        server = QueueServer(until_done, max_requests=limit)
        too_many: list[int] = []

        def watch(event: trioserver.ServerEvent) -> None:
            assert server.max_requests is not None
            if isinstance(event, trioserver.RequestAccepted) and len(server.requests) > server.max_requests:
                too_many.append(event.request_id)

        server.add_observer(watch)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            for what, number in history:
                if what == "put":
                    done[len(done)] = trio.Event()
                    server.put(len(done) - 1)
                elif what == "limit":
                    server.max_requests = number
                elif what == "turn":
                    await trio.lowlevel.checkpoint()
                elif server.requests:
                    record = server.requests[number % len(server.requests)]
                    if what == "cancel":
                        record.cancel()
                    else:
                        done[record.request].set()
            await trio.testing.wait_all_tasks_blocked()
            assert server.max_requests is not None
            waiting = len(done) - len(server.taken)
            assert waiting == 0 or len(server.requests) >= server.max_requests
            report = await server.shutdown()
        assert too_many == []
        assert_accounted(server, report)

    trio.run(main)


SKIPPED = [errno.ECONNABORTED, errno.EPERM, errno.EPROTO]
EXHAUSTED = [errno.EMFILE, errno.ENFILE, errno.ENOMEM]


@given(script=st.lists(st.sampled_from([*SKIPPED, *EXHAUSTED, 0, 0, 0]), max_size=60))
@settings(max_examples=100)
def test_p7_every_request_is_served_and_every_delay_is_right_whatever_accept_says(script: list[int]) -> None:
    """The time that passes is the sum of the delays: 10 ms, doubling to 1 s, and 10 ms after a success."""
    entries: list[Any] = [os_error(number) if number else f"request {i}" for i, number in enumerate(script)]
    expected, delay = 0.0, 0.0
    for number in script:
        if number == 0:
            delay = 0.0
        elif number in EXHAUSTED:
            delay = min(1.0, delay * 2) if delay else 0.01
            expected += delay

    async def main() -> float:
        server = ScriptedServer(entries, at_once)
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            await trio.sleep(expected + 0.001)
            elapsed = server.times[-1] - start
            await server.shutdown()
        assert len(server.taken) == script.count(0)
        assert server.statistics().accept_errors == len(script) - script.count(0)
        assert_accounted(server)
        return elapsed

    elapsed = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert abs(elapsed - expected) < 1e-6
