"""`request_timeout`: a whole request has so many seconds, exactly so under a mock clock."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
import trio.testing
from harness import wait_until

import trioserver
from trioserver import Outcome, Timeout

from ..promises.fakes import QueueServer, assert_accounted, at_once, forever


class Limited(QueueServer):
    """A server class with a timeout of its own."""

    request_timeout = 7.0


async def test_request_timeout_when_it_is_over_then_the_request_is_cancelled_at_that_very_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The outcome is CANCELLED, no error is handled, and the event says which timeout it was."""
    server = QueueServer(forever, request_timeout=2.5)
    async with server.running():
        await trio.sleep(1)
        server.put(1)
        await wait_until(lambda: server.requests)
        (record,) = server.requests
        assert (record.timeouts, record.cancel_called) == ((), False)
        await trio.sleep(100)
        (ended,) = server.ended()
        assert (ended.time, ended.duration) == (1 + 2.5, 2.5)
        assert (ended.outcome, ended.error, ended.timeouts) == (Outcome.CANCELLED, None, (Timeout.REQUEST,))
        assert record.cancel_called
        assert server.errors == []
    assert_accounted(server)


async def test_request_timeout_when_several_requests_overlap_then_each_has_its_own(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It is measured from accept, for each request by itself."""
    server = QueueServer(forever, request_timeout=10)
    async with server.running():
        for request in range(5):
            server.put(request)
            await trio.sleep(3)
        await trio.sleep(100)
        assert [(ended.time, ended.duration) for ended in server.ended()] == [
            (3.0 * request + 10, 10) for request in range(5)
        ]
    assert_accounted(server)


@pytest.mark.parametrize("way", ["class", "keyword", "instance", "none by default"])
async def test_request_timeout_may_be_set_on_the_class_the_instance_or_as_a_keyword(
    way: str, autojump_clock: trio.testing.MockClock
) -> None:
    """The nearest holds; ``None``, the default, is no bound."""
    expected = {"class": 7, "keyword": 3, "instance": 4, "none by default": math.inf}[way]
    if way == "class":
        server: QueueServer = Limited(forever)
    elif way == "keyword":
        server = Limited(forever, request_timeout=3)
    else:
        server = QueueServer(forever)
        assert server.request_timeout is None
    if way == "instance":
        server.request_timeout = 4
    async with server.running():
        server.put(1)
        await trio.sleep(80_000)
        assert [ended.duration for ended in server.ended()] == ([expected] if expected < math.inf else [])
    assert_accounted(server)


async def test_request_timeout_when_set_while_serving_then_it_is_for_requests_accepted_from_then_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Those that are there keep theirs, whether there was one or not."""
    server = QueueServer(forever, request_timeout=5)
    async with server.running():
        for request, seconds in enumerate((5, 1, None, 2)):
            server.request_timeout = seconds
            server.put(request)
            await wait_until(lambda request=request: len(server.taken) == request + 1)
        server.request_timeout = 0.5
        await trio.sleep(100)
        assert [(ended.client_address, ended.duration) for ended in server.ended()] == [
            ("client 1", 1),
            ("client 3", 2),
            ("client 0", 5),
        ]
        assert [record.request for record in server.requests] == [2]
    assert_accounted(server)


async def test_request_timeout_when_zero_then_the_request_is_cancelled_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """``0`` is not "no limit": no time passes."""
    server = QueueServer(forever, request_timeout=0)
    async with server.running():
        server.put(1, 2)
        await wait_until(lambda: len(server.closed) == 2)
        assert trio.current_time() == 0
        assert [ended.timeouts for ended in server.ended()] == [(Timeout.REQUEST,)] * 2
    assert_accounted(server)


@pytest.mark.parametrize("wrong", [-1, -0.001, math.nan, "5", True, (5,)])
def test_request_timeout_when_it_is_no_number_of_seconds_then_the_error_names_it(wrong: Any) -> None:
    """As a keyword and on the instance; what was set before stays."""
    with pytest.raises(trioserver.ConfigError, match="request_timeout"):
        QueueServer(forever, request_timeout=wrong)
    server = QueueServer(forever, request_timeout=5)
    with pytest.raises(trioserver.ConfigError, match="request_timeout"):
        server.request_timeout = wrong
    assert server.request_timeout == 5


@pytest.mark.parametrize("wrong", [-1, "5"])
async def test_request_timeout_when_wrong_on_the_class_then_the_server_is_refused(wrong: Any) -> None:
    """At construction, and when it was spoilt after that at serving: before any request."""

    class Spoilt(QueueServer):
        request_timeout = wrong

    with pytest.raises(trioserver.ConfigError, match="request_timeout"):
        Spoilt(forever)
    Spoilt.request_timeout = None
    server = Spoilt(forever)
    server.put(1)
    Spoilt.request_timeout = wrong
    with pytest.raises(trioserver.ConfigError, match="request_timeout"):
        await server.serve_forever()
    assert server.taken == []


async def test_p2_request_timeout_when_spoilt_while_serving_then_nothing_is_lost() -> None:
    """On the instance it is refused, and the server goes on; nobody notices."""
    server = QueueServer(at_once)
    async with server.running():
        server.put(1)
        with pytest.raises(trioserver.ConfigError, match="request_timeout"):
            server.request_timeout = "soon"  # type: ignore[assignment]
        server.put(2)
        await wait_until(lambda: len(server.closed) == 2)
    assert [ended.outcome for ended in server.ended()] == [Outcome.FINISHED] * 2
    assert_accounted(server)


@pytest.mark.parametrize("watching", [True, False])
async def test_p2_request_timeout_when_the_class_is_spoilt_while_serving_then_no_request_is_lost(
    watching: bool,
) -> None:
    """Nothing checks a class's attributes; that stops the server, with every request closed and counted."""

    class Spoilt(QueueServer):
        request_timeout: Any = 1000.0 if watching else None

    server = Spoilt(forever)
    with pytest.raises(TypeError):
        async with server.running():
            server.put(1)
            await wait_until(lambda: server.requests)
            Spoilt.request_timeout = "soon"
            server.put(2)
            await trio.sleep_forever()
    assert server.taken == [1, 2]
    assert_accounted(server)


async def test_request_timeout_touches_no_other_request(autojump_clock: trio.testing.MockClock) -> None:
    """Neighbours with more time, and a request that ends in time, do not notice."""

    async def handler(request: float, client_address: Any, server: Any) -> None:
        await trio.sleep(request)

    server = QueueServer(handler, request_timeout=2)
    async with server.running():
        server.put(1, 3, 1.5)
        await wait_until(lambda: len(server.taken) == 3)
        server.request_timeout = None
        server.put(4)
        await trio.sleep(100)
        assert [(ended.time, ended.outcome, ended.timeouts) for ended in server.ended()] == [
            (1, Outcome.FINISHED, ()),
            (1.5, Outcome.FINISHED, ()),
            (2, Outcome.CANCELLED, (Timeout.REQUEST,)),
            (4, Outcome.FINISHED, ()),
        ]
    assert_accounted(server)


@pytest.mark.parametrize("timeout", [math.inf, 1e300])
async def test_request_timeout_when_it_is_practically_endless_then_it_is_no_bound(
    timeout: float, autojump_clock: trio.testing.MockClock
) -> None:
    """Infinity is a number of seconds like others, and nothing of the requests is kept (P9)."""

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        await trio.sleep(1000)

    server = QueueServer(handler, request_timeout=timeout)
    async with server.running():
        server.put(*range(1000))
        await trio.sleep(2000)
        assert {ended.outcome for ended in server.ended()} == {Outcome.FINISHED}
        assert len(server._engine.deadlines._heap) < 200
    assert_accounted(server)


async def test_request_timeout_holds_in_handle_request_too(autojump_clock: trio.testing.MockClock) -> None:
    """It is another thing than ``timeout``, which is how long the request is waited for."""
    server = QueueServer(forever, request_timeout=2, timeout=10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.handle_request)
        await trio.sleep(5)
        server.put(1)
    assert trio.current_time() == 5 + 2
    assert [ended.timeouts for ended in server.ended()] == [(Timeout.REQUEST,)]
    await server.handle_request()
    assert trio.current_time() == 5 + 2 + 10
    assert_accounted(server)


async def test_request_timeout_works_again_when_a_server_is_served_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """What watches the time ends with each serve and is there in the next."""
    server = QueueServer(forever, request_timeout=3)
    for run in range(2):
        async with server.running():
            server.put(run)
            await trio.sleep(10)
    assert [ended.time for ended in server.ended()] == [3, 13]
    assert_accounted(server)
