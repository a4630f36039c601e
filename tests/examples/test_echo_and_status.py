"""The examples ``echo`` and ``two_servers``, each with a real client."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import trio
from harness import receive_all, receive_exactly

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.examples.conftest import RunExample


async def test_echo_when_socat_sends_lines_then_they_come_back(
    run_example: RunExample, run_client: Callable[..., str]
) -> None:
    """The smallest server sends back each line, the last one without its newline, too."""
    async with run_example("echo") as example:
        address = f"TCP:127.0.0.1:{example.ports[0]}"
        reply = await trio.to_thread.run_sync(
            lambda: run_client("socat", "-t5", "-", address, input=b"one\ntwo\nthree")
        )
        assert reply == "one\ntwo\nthree"


async def test_echo_when_interrupted_with_a_client_connected_then_ends_cleanly(
    run_example: RunExample,
) -> None:
    """Ctrl-C ends the server although a client is there, and closes its connection."""
    async with run_example("echo") as example:
        client = await example.connect()
        async with client:
            await client.send_all(b"hello\n")
            assert await receive_exactly(client, 6) == b"hello\n"
            example.interrupt()
            assert await receive_all(client) == b""
        await example.wait_clean_end()


async def test_echo_when_given_a_port_then_serves_there(
    run_example: RunExample,
) -> None:
    """The port may be named on the command line."""
    async with run_example("echo") as first:
        port = first.ports[0]
    async with run_example("echo", str(port)) as second:
        assert second.ports == [port]


async def test_two_servers_when_both_are_used_then_the_one_reports_on_the_other(
    run_example: RunExample, run_client: Callable[..., str]
) -> None:
    """curl gets the number of requests of the first server from the second."""
    async with run_example("two_servers", lines=2) as example:
        async with await example.connect() as client:
            await client.send_all(b"hello\n")
            assert await receive_exactly(client, 6) == b"HELLO\n"
            url = f"http://127.0.0.1:{example.ports[1]}/"
            report = await trio.to_thread.run_sync(lambda: run_client("curl", "-sS", url))
            assert report == "1 of 1 requests are running\n"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
async def test_two_servers_when_signalled_then_idle_clients_do_not_hold_up_the_drain(
    run_example: RunExample, signum: int
) -> None:
    """The drain has 5 seconds; a client that waits for nothing is let go at once."""
    async with run_example("two_servers", lines=2) as example:
        async with await example.connect() as client:
            await client.send_all(b"hello\n")
            assert await receive_exactly(client, 6) == b"HELLO\n"
            with trio.fail_after(4):
                example.interrupt(signum)
                assert await receive_all(client) == b""
        await example.wait_clean_end()
        assert example.output.endswith(b"Bye\n")


async def test_two_servers_when_signalled_with_a_request_running_then_it_is_finished(
    run_example: RunExample,
) -> None:
    """A request that has begun is answered during the drain."""
    async with run_example("two_servers", lines=2) as example:
        async with await example.connect() as client:
            await client.send_all(b"hello\nhal")
            assert await receive_exactly(client, 6) == b"HELLO\n"
            example.interrupt()
            await wait_refused(example.ports[0])
            await client.send_all(b"f\n")
            assert await receive_all(client) == b"HALF\n"


async def wait_refused(port: int) -> None:
    """Wait until nobody listens on the port: then the drain has begun."""
    while True:
        try:
            await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
        except OSError:
            return
