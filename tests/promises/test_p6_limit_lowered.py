"""P6, to the tick: the limit is lowered just when a request has come."""

from __future__ import annotations

import trio
import trio.testing

import trioserver


async def hold(request: object, client_address: object, server: object) -> None:
    await trio.sleep_forever()


async def test_p6_a_limit_lowered_between_the_wake_up_and_accept_holds(io_path: str) -> None:
    """The accept loop was woken by a connection, and does not take it: there is no room any more."""
    most: list[int] = []
    async with trioserver.TCPServer(("127.0.0.1", 0), hold, max_requests=2).running() as server:

        def watch(event: trioserver.ServerEvent) -> None:
            if isinstance(event, trioserver.RequestAccepted):
                most.append(len(server.requests))

        server.add_observer(watch)
        first = await trio.open_tcp_stream(*server.server_address)
        await trio.testing.wait_all_tasks_blocked()
        assert len(server.requests) == 1

        class Lower(trio.abc.Instrument):
            """Lowers the limit when I/O has made the accept loop runnable, and before it runs."""

            def task_scheduled(self, task: trio.lowlevel.Task) -> None:
                server.max_requests = 1

        lower = Lower()
        trio.lowlevel.add_instrument(lower)
        try:
            second = await trio.open_tcp_stream(*server.server_address)
        finally:
            trio.lowlevel.remove_instrument(lower)
        await trio.testing.wait_all_tasks_blocked()
        assert (len(server.requests), most) == (1, [1])
        server.max_requests = 2
        await trio.testing.wait_all_tasks_blocked()
        assert len(server.requests) == 2
        await first.aclose()
        await second.aclose()
