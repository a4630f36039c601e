"""P7: accept outlives the errors of one connection and exhaustion, and nothing ever spins."""

from __future__ import annotations

import errno
import itertools

import pytest
import trio
import trio.testing
from harness import wait_until

import trioserver
from trioserver import AcceptPaused, AcceptResumed

from .fakes import ScriptedServer, assert_accounted, at_once, emfile, forever, os_error

SKIPPED = [
    "ECONNABORTED",
    "ECONNRESET",
    "EPERM",
    "EPROTO",
    "ENETDOWN",
    "ENOPROTOOPT",
    "EHOSTDOWN",
    "ENONET",
    "EHOSTUNREACH",
    "EOPNOTSUPP",
    "ENETUNREACH",
]
EXHAUSTED = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]
FATAL = ["EBADF", "EINVAL", "ENOTSOCK", "EFAULT", "EACCES", "EIO"]


def numbers(names: list[str]) -> list[int]:
    """Those errnos that this platform has."""
    return [getattr(errno, name) for name in names if hasattr(errno, name)]


def pauses(server: ScriptedServer) -> list[trioserver.ServerEvent]:
    """The events of accepting that paused and resumed."""
    return [event for event in server.recorder if isinstance(event, (AcceptPaused, AcceptResumed))]


@pytest.mark.parametrize("number", numbers(SKIPPED), ids=errno.errorcode.get)
async def test_p7_an_error_of_one_connection_is_skipped(
    autojump_clock: trio.testing.MockClock, number: int
) -> None:
    """The next connection is served at once, with no event; the error is counted."""
    server = ScriptedServer([os_error(number), 1, os_error(number), 2], at_once)
    async with server.running():
        await wait_until(lambda: server.closed == [1, 2])
        assert trio.current_time() == 0
    assert pauses(server) == []
    assert server.statistics().accept_errors == 2
    assert_accounted(server)


@pytest.mark.parametrize("number", numbers(EXHAUSTED), ids=errno.errorcode.get)
async def test_p7_exhaustion_backs_off_from_10_ms_doubling_to_1_s_and_resets(
    autojump_clock: trio.testing.MockClock, number: int
) -> None:
    """One pause and one resumption for a row of failures; after a success it begins at 10 ms again."""
    errors = [os_error(number) for _ in range(12)]
    server = ScriptedServer([*errors[:10], 1, *errors[10:], 2], at_once)
    async with server.running():
        await trio.sleep(60)
        delays = [after - before for before, after in itertools.pairwise(server.times)]
        doubling = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0, 1.0]
        assert delays[:13] == pytest.approx([*doubling, 0.0, 0.01, 0.02])
        assert server.closed == [1, 2]
    first, resumed, second, _ = pauses(server)
    assert isinstance(first, AcceptPaused)
    assert isinstance(second, AcceptPaused)
    assert isinstance(resumed, AcceptResumed)
    assert (first.reason, first.error) == (errno.errorcode[number], errors[0])
    assert (second.reason, second.error) == (errno.errorcode[number], errors[10])
    assert server.statistics().accept_errors == 12
    assert_accounted(server)


@pytest.mark.parametrize("number", numbers(FATAL), ids=errno.errorcode.get)
async def test_p7_any_other_error_stops_the_server_and_propagates_bare(number: int) -> None:
    """A listener that is no use any more is not retried."""
    error = os_error(number)
    server = ScriptedServer([1, error], forever)
    with pytest.raises(OSError, match=error.strerror) as caught:
        await server.serve_forever()
    assert caught.value is error
    assert server.statistics().cancelled == 1
    assert_accounted(server)


@pytest.mark.parametrize(
    "error", [OSError("no errno"), TimeoutError(), ValueError("not an OSError")], ids=repr
)
async def test_p7_an_error_without_an_errno_is_fatal(error: Exception) -> None:
    """What is not in accept(2)'s list is nobody's to guess at."""
    server = ScriptedServer([error], at_once)
    with pytest.raises(type(error)) as caught:
        await server.serve_forever()
    assert caught.value is error


async def test_p7_endless_errors_that_are_skipped_back_off_too(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A firewall that refuses every connection costs a call a second, and no processor."""
    server = ScriptedServer(itertools.repeat(os_error(errno.EPERM)), at_once)
    async with server.running():
        await trio.sleep(100)
        assert server.calls < 64 + 7 + 100 + 3
    (paused,) = pauses(server)
    assert isinstance(paused, AcceptPaused)
    assert paused.reason == "EPERM"


async def test_p7_other_tasks_run_while_errors_are_skipped() -> None:
    """Each error that is skipped is a checkpoint: a row of them holds up nobody."""
    server = ScriptedServer([os_error(errno.ECONNABORTED) for _ in range(60)], at_once)
    seen: list[int] = []
    async with server.running():
        while server.calls < 60:
            seen.append(server.calls)
            await trio.lowlevel.checkpoint()
    # In each turn of the scheduler both tasks run once, in either order.
    assert max(after - before for before, after in itertools.pairwise(seen)) <= 2


async def test_p7_a_shutdown_ends_a_back_off_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """The server does not wait for the next try, and there is no resumption that was none."""
    server = ScriptedServer(itertools.repeat(emfile()), at_once)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        await trio.sleep(10.5)
        begin = trio.current_time()
        await server.shutdown(None)
        assert trio.current_time() == begin
    assert len(pauses(server)) == 1


async def test_p7_requests_go_on_while_accept_backs_off(autojump_clock: trio.testing.MockClock) -> None:
    """Exhaustion touches those that come, not those that are there."""

    async def handler(request: int, client_address: object, server: object) -> None:
        await trio.sleep(3)

    server = ScriptedServer([1, *(emfile() for _ in range(30)), 2], handler)
    async with server.running():
        await wait_until(lambda: server.names()[-1] == "AcceptPaused")
        await trio.sleep(3.001)
        assert server.closed == [1]
        await trio.sleep(40)
        assert server.closed == [1, 2]
    assert_accounted(server)
