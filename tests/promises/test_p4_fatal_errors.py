"""P4: what is no Exception stops the server, and comes out of it as it was raised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from harness import wait_until

import trioserver
from trioserver import Outcome

from .fakes import QueueServer, ScriptedServer, assert_accounted, at_once, forever

if TYPE_CHECKING:
    from collections.abc import Callable


class Mine(BaseException):
    """Neither an Exception nor one of Python's own."""


def raising(*errors: BaseException) -> Any:
    """A handler that raises the n-th error for the request n, all in one turn, and stays for others."""

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        if isinstance(request, int):
            await server.go.wait()
            raise errors[request]
        await trio.sleep_forever()

    return handler


class GoServer(QueueServer):
    """Has an event for its handlers."""

    def __init__(self, handler: Any) -> None:
        super().__init__(handler)
        self.go = trio.Event()


FATAL = [KeyboardInterrupt(), SystemExit(3), Mine("x"), GeneratorExit()]


async def by_serve_forever(server: GoServer) -> None:
    server.go.set()
    await server.serve_forever()


async def by_running(server: GoServer) -> None:
    async with server.running():
        server.go.set()
        await trio.sleep_forever()


async def by_handle_request(server: GoServer) -> None:
    server.go.set()
    await server.handle_request()


@pytest.mark.parametrize("serve", [by_serve_forever, by_running, by_handle_request])
@pytest.mark.parametrize("error", FATAL, ids=repr)
async def test_p4_a_fatal_error_of_a_handler_propagates_bare(
    error: BaseException, serve: Callable[[GoServer], Any]
) -> None:
    """It comes out of whatever serves, the same object, in no group; the other requests are cancelled."""
    server = GoServer(raising(error))
    server.put(0, "other")
    with pytest.raises(type(error)) as caught:
        await serve(server)
    assert caught.value is error
    outcomes = [event.outcome for event in server.ended()]
    assert outcomes.count(Outcome.FAILED) == 1
    assert server.errors == []
    assert_accounted(server)


async def test_p4_a_fatal_error_inside_a_group_propagates_bare_and_the_errors_are_handled() -> None:
    """Of a group of both kinds the errors go to `handle_error`, and the fatal one stops the server."""
    interrupt = KeyboardInterrupt()
    group = BaseExceptionGroup("both", [ValueError("error"), BaseExceptionGroup("inner", [interrupt])])
    server = GoServer(raising(group))
    server.put(0)
    with pytest.raises(KeyboardInterrupt) as caught:
        await by_serve_forever(server)
    assert caught.value is interrupt
    assert [repr(error) for error in server.errors] == ["ExceptionGroup('both', [ValueError('error')])"]
    assert_accounted(server)


async def test_p4_two_fatal_errors_at_once_come_out_as_a_group_of_just_those_two() -> None:
    """None of several is lost, and the group has no other layer."""
    errors = [KeyboardInterrupt(), SystemExit(1)]
    server = GoServer(raising(*errors))
    server.put(0, 1, "other")

    async def go() -> None:
        await trio.testing.wait_all_tasks_blocked()  # all three handlers wait
        server.go.set()

    with pytest.raises(BaseExceptionGroup) as caught:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(go)
            await server.serve_forever()
    (group,) = caught.value.exceptions  # the outer one is this test's nursery's
    assert isinstance(group, BaseExceptionGroup)
    assert set(group.exceptions) == set(errors)
    assert_accounted(server)


async def test_p4_what_handle_error_raises_stops_the_server_and_propagates_bare() -> None:
    """To let an error stop the server, raise it from `handle_error`."""

    class Strict(GoServer):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            raise

    error = ValueError("strict")
    server = Strict(raising(error))
    server.put(0, "other")
    with pytest.raises(ValueError, match="strict") as caught:
        await by_serve_forever(server)
    assert caught.value is error
    assert_accounted(server)


async def test_p4_no_fatal_error_is_lost_when_handle_error_raises_for_the_rest_of_its_group() -> None:
    """An interrupt in a group comes out though `handle_error` fails on the errors beside it."""

    class Broken(GoServer):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            raise ZeroDivisionError

    interrupt = KeyboardInterrupt()
    server = Broken(raising(BaseExceptionGroup("both", [ValueError("error"), interrupt])))
    server.put(0)
    with pytest.raises(BaseExceptionGroup) as caught:
        await by_serve_forever(server)
    assert {type(error) for error in caught.value.exceptions} == {ZeroDivisionError, KeyboardInterrupt}
    assert_accounted(server)


def test_p4_a_cancelled_nursery_in_handle_error_is_a_cancellation_and_no_error() -> None:
    """A `handle_error` that reports through tasks of its own may be cancelled like anything else."""
    reporting = trio.Event()

    class Reporting(GoServer):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            reporting.set()
            try:
                await trio.sleep_forever()
            except trio.Cancelled as cancelled:
                # What several of a handler's own nurseries, or another library's, may make of it.
                raise BaseExceptionGroup("cancelled", [cancelled]) from None

    server = Reporting(raising(ValueError("error")))

    async def main() -> str:
        async with server.running():
            server.go.set()
            server.put(0, "other")
            await reporting.wait()
            server.requests[0].cancel()
            await wait_until(lambda: server.closed)
            assert server.closed == [0]
            assert len(server.requests) == 1
        return "to the end"

    # In a run of its own: a cancellation that leaks would end a test like any other one, and let it pass.
    assert trio.run(main) == "to the end"
    assert [event.outcome for event in server.ended()] == [Outcome.FAILED, Outcome.CANCELLED]
    assert_accounted(server)


@pytest.mark.parametrize("hook", ["server_bind", "get_request", "service_actions"])
@pytest.mark.parametrize("how", ["serve_forever", "running", "start"])
async def test_p4_an_error_of_the_servers_own_hooks_propagates_bare(hook: str, how: str) -> None:
    """What a hook outside of any request raises is what the caller gets, however the server is run."""
    error = ValueError(hook)

    async def fail(self: Any) -> Any:
        raise error

    kind = type("Failing", (QueueServer,), {hook: fail})
    server: QueueServer = kind(forever, poll_interval=0.001)
    with pytest.raises(ValueError, match=hook) as caught:
        if how == "serve_forever":
            await server.serve_forever()
        elif how == "running":
            async with server.running():
                await trio.sleep_forever()
        else:
            try:
                async with trio.open_nursery() as nursery:
                    await nursery.start(server.serve_forever)
            except ExceptionGroup as group:  # one layer, and it is this nursery's
                (inner,) = group.exceptions
                raise inner from None
    assert caught.value is error
    assert server.state is trioserver.State.STOPPED


async def test_p4_running_keeps_the_groups_that_its_block_raises() -> None:
    """Only the layer that the library adds is taken off: a group of the user's stays one."""
    mine = ExceptionGroup("mine", [ValueError(1)])
    server = QueueServer(forever)
    with pytest.raises(ExceptionGroup) as caught:
        async with server.running():
            raise mine
    assert caught.value.message == "mine"
    assert caught.value.exceptions == mine.exceptions
    assert_accounted(server)


async def test_p4_a_fatal_error_and_an_outer_cancellation_at_once_raise_the_error() -> None:
    """A cancellation that comes in the same turn does not hide an error."""
    server = GoServer(raising(KeyboardInterrupt()))
    server.put(0)
    scope = trio.CancelScope()

    def cancel(event: trioserver.ServerEvent) -> None:
        if isinstance(event, trioserver.RequestEnded):
            scope.cancel()

    server.add_observer(cancel)
    with pytest.raises(KeyboardInterrupt):
        with scope:
            await by_serve_forever(server)
    assert_accounted(server)


async def test_p4_a_group_that_a_hook_raises_comes_out_as_it_is() -> None:
    """What is in a group was put there by somebody; only the groups of our nurseries are taken off."""
    mine = ExceptionGroup("mine", [ValueError(1)])
    server = ScriptedServer([mine], at_once)
    with pytest.raises(ExceptionGroup) as caught:
        await server.serve_forever()
    assert caught.value is mine


async def test_p4_what_service_actions_raises_comes_out_bare() -> None:
    """The task that it runs in has a nursery, which leaves no trace."""

    class Server(QueueServer):
        async def service_actions(self) -> None:
            raise ValueError("service")

    server = Server(forever)
    server.put(1)
    with pytest.raises(ValueError, match="service"):
        await server.serve_forever()
    assert_accounted(server)
