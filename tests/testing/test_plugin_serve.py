"""The fixture ``serve``: what it starts, and what it finds at the end of a test."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing
from harness import Echo

import trioserver
from trioserver.testing import Client, Network, Serve
from trioserver.testing._served import _Served
from trioserver.testing._test_run import TestRun

from .plugin_kit import run_tests

pytest_plugins = ["pytester"]


def test_serve_when_given_a_class_or_a_server_then_it_listens_until_the_end(
    pytester: pytest.Pytester,
) -> None:
    """The address is optional, options are the server's, and the host may be named."""
    result = run_tests(
        pytester,
        """
stopped = []

async def test_tcp(network, serve):
    everywhere = await serve(trioserver.TCPServer, ("", 80), Echo, host="everywhere", max_requests=5)
    somewhere = await serve(trioserver.TCPServer, Echo, host="somewhere")
    with network.host("elsewhere", "10.9.9.9"):
        mine = await serve(trioserver.TCPServer(("10.9.9.9", 0), Echo))
    assert everywhere.max_requests == 5
    assert somewhere.server_address[0] == network.host("somewhere").addresses[0]
    with network.host("client"):
        for address in (("everywhere", 80), somewhere, mine):
            async with Client.connect(address) as client:
                await client.send(b"hello\\n")
                await client.expect(b"hello\\n")
    stopped.extend([everywhere, somewhere, mine])

def test_stopped():
    assert [server.state for server in stopped] == [trioserver.State.STOPPED] * 3

async def test_unix_and_datagrams(network, serve):
    first = await serve(trioserver.UnixStreamServer, Echo)
    second = await serve(trioserver.UnixStreamServer, Echo)
    assert first.server_address != second.server_address
    async with Client.connect(first) as client:
        await client.send(b"hello\\n")
        await client.expect(b"hello\\n")

    def shout(request, client_address, server):
        request.socket.sendto_nowait(request.data.upper(), client_address)

    server = await serve(trioserver.UDPServer, shout, host="server")
    with network.host("client"), trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
        await sock.sendto(b"hello", server.server_address)
        assert await sock.recv(100) == b"HELLO"
    assert "UDPServer" in str(network.log)
""",
    )
    result.assert_outcomes(passed=3)


def test_handler_when_it_raises_then_the_test_fails_of_it(pytester: pytest.Pytester) -> None:
    """It is bare, and the test's own failure, which it most often is the reason of, is its context."""
    result = run_tests(
        pytester,
        """
async def talk(server, network, expected):
    with network.host("client"):
        async with Client.connect(server) as client:
            await client.send(b"x")
            assert await client.receive_all() == expected

async def test_nothing_noticed(network, serve):
    await talk(await serve(trioserver.TCPServer, fail, host="server"), network, b"")

async def test_noticed(network, serve):
    await talk(await serve(trioserver.TCPServer, fail, host="server"), network, b"a reply")
""",
    )
    result.assert_outcomes(failed=2)
    result.stdout.no_fnmatch_line("*| LookupError*")
    assert result.stdout.str().count("E       LookupError: a bug") == 2
    result.stdout.fnmatch_lines_random(
        [
            "*assert b'' == b'a reply'*",
        ]
    )


def test_handler_when_two_raise_then_the_test_fails_of_both(pytester: pytest.Pytester) -> None:
    """In a group."""
    result = run_tests(
        pytester,
        """
async def test_two(network, serve):
    server = await serve(trioserver.TCPServer, fail)
    for _ in range(2):
        async with Client.connect(server) as client:
            await client.send(b"x")
            await client.expect_eof()
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*ExceptionGroup: 2 requests of <TCPServer at *> failed (2 sub-exceptions)*"]
    )


def test_errors_when_they_are_expected_or_the_clients_doing_then_the_test_passes(
    pytester: pytest.Pytester,
) -> None:
    """They can be looked at."""
    result = run_tests(
        pytester,
        """
async def test_expected(network, serve):
    server = await serve(trioserver.TCPServer, fail, expected_errors=LookupError)
    async with Client.connect(server) as client:
        await client.send(b"x")
        await client.expect_eof()
        await trio.sleep(1)
        assert [type(error) for error in serve.errors] == [LookupError]

class Number(trioserver.StreamRequestHandler):
    async def handle(self):
        await self.rfile.readexactly(4)

async def test_clients_doing(network, serve):
    server = await serve(trioserver.TCPServer, Number)
    async with Client.connect(server) as client:
        await client.send(b"12")
        client.abort()
    async with Client.connect(server) as client:
        await client.send(b"12")
    await trio.sleep(1)
    assert server.statistics().failed == 2
    assert serve.errors == []
""",
    )
    result.assert_outcomes(passed=2)


def test_server_when_its_host_crashes_then_the_test_does_not_fail_of_that(
    pytester: pytest.Pytester,
) -> None:
    """Whatever its handlers do then; but of what they did before, it does. A restart does not start it."""
    result = run_tests(
        pytester,
        """
import errno

class Stubborn(Echo):
    async def finish(self):
        raise LookupError("in the middle of a crash")

@pytest.mark.parametrize("handler", [Echo, Stubborn])
@pytest.mark.parametrize("restarts", [True, False])
async def test_crash(network, serve, handler, restarts):
    server = await serve(trioserver.TCPServer, ("", 80), handler, host="server")
    async with Client.connect(("server", 80), host="client") as client:
        await client.send(b"hello\\n")
        await client.expect(b"hello\\n")
        network.host("server").crash()
        if restarts:
            network.host("server").restart()
            await client.send(b"hello\\n")
            await client.expect_reset()
            with pytest.raises(ConnectionRefusedError):
                await Client.connect(("server", 80), host="client").__aenter__()
            again = await serve(trioserver.TCPServer, ("", 80), Echo, host="server")
            async with Client.connect(("server", 80), host="client") as other:
                await other.send(b"hello\\n")
                await other.expect(b"hello\\n")

async def test_at_the_end(network, serve):
    await serve(trioserver.UDPServer, fail, host="server")
    network.host("server").crash()

async def test_before(network, serve):
    server = await serve(trioserver.TCPServer, fail, host="server")
    async with Client.connect(server, host="client") as client:
        await client.send(b"x")
        await client.expect_eof()
    await trio.sleep(1)
    network.host("server").crash()
""",
    )
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["E       LookupError: a bug"])


def test_server_when_something_stops_it_then_the_test_is_cancelled(pytester: pytest.Pytester) -> None:
    """And fails of what it was."""
    result = run_tests(
        pytester,
        """
class Strict(trioserver.TCPServer):
    async def handle_error(self, request, client_address):
        raise

async def test_it(network, serve):
    server = await serve(Strict, fail)
    async with Client.connect(server) as client:
        await client.send(b"x")
        await trio.sleep_forever()
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*LookupError: a bug"])


class Miscounting(trioserver.TCPServer):
    """Says that there was one request more than there was."""

    field = "finished"

    def statistics(self) -> Any:
        counted = super().statistics()
        more = self.state is trioserver.State.STOPPED
        values = {name: getattr(counted, name) for name in counted.__slots__}
        return type(counted)(**{**values, self.field: getattr(counted, self.field) + more})


class MiscountingAccepted(Miscounting):
    """Only of those that it has accepted."""

    field = "accepted"


class NeverEmpty(trioserver.TCPServer):
    """Says that it has a request, always."""

    @property
    def requests(self) -> Any:
        return super().requests or (SimpleNamespace(id=0, request=None),)


@pytest.mark.parametrize(
    ("server_class", "message"),
    [
        (Miscounting, r"^P3: <Miscounting .*> has accepted 0 requests and counts .*'finished': 1"),
        (MiscountingAccepted, r"^P3: <.*> has accepted 1 requests and counts .*'finished': 0.*say 0 and"),
        (NeverEmpty, r"^P1: <NeverEmpty .*> was shut down, and still has 1 requests$"),
    ],
)
async def test_stop_when_a_promise_was_not_kept_then_it_says_which(
    server_class: Any, message: str, autojump_clock: trio.testing.MockClock
) -> None:
    """By the number it has in the design."""
    with Network(seed=0) as network:
        async with trio.open_nursery() as nursery:
            serve = Serve(network, nursery)
            await serve(server_class, Echo)
            failure = await serve.stop()
    assert isinstance(failure, AssertionError)
    with pytest.raises(AssertionError, match=message):
        raise failure


async def test_stop_when_a_connection_was_not_closed_then_it_says_which(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Those that are closed are not kept."""
    with Network(seed=0) as network:
        async with trio.open_nursery() as nursery:
            serve = Serve(network, nursery)
            server = await serve(trioserver.TCPServer, Echo)
            async with Client.connect(server) as client:
                await client.send(b"hello\n")
                await client.expect(b"hello\n")
            await trio.sleep(1)
            (served,) = serve._served
            assert isinstance(served, _Served)
            assert served._streams == {}
            served._streams[7] = cast("Any", SimpleNamespace(closed=False))
            served._observe(
                trioserver.RequestEnded(
                    time=0,
                    request_id=7,
                    client_address=None,
                    outcome=trioserver.Outcome.FINISHED,
                    duration=0,
                    bytes_received=0,
                    bytes_sent=0,
                    error=None,
                )
            )
            failure = await serve.stop()
    assert isinstance(failure, ExceptionGroup)
    not_closed, miscounted = map(str, failure.exceptions)
    assert not_closed.endswith("was shut down, and the connection of request 7 is open")
    assert miscounted.startswith("P3")


@pytest.mark.parametrize(
    "interruption", [KeyboardInterrupt(), BaseExceptionGroup("of a nursery", [KeyboardInterrupt()])]
)
def test_interruption_when_a_handler_has_failed_too_then_it_is_what_gets_through(
    interruption: BaseException,
) -> None:
    """Ctrl-C is for pytest."""

    def interrupted(*args: Any, **options: Any) -> None:
        raise interruption

    run = TestRun(0, {}, interrupted)
    run.failure = LookupError("of a handler")
    with pytest.raises(type(interruption)) as caught:
        run(trio.sleep, 0)
    assert caught.value is interruption


@pytest.mark.parametrize(
    ("grace_period", "outcome"), [(1.0, "cancelled"), (3.0, "finished"), (None, "finished")]
)
async def test_grace_period_when_given_then_requests_have_it_at_the_end(
    grace_period: float | None, outcome: str, autojump_clock: trio.testing.MockClock
) -> None:
    """In virtual seconds."""

    async def slow(*args: Any) -> None:
        await trio.sleep(2)

    with Network(seed=0) as network:
        async with trio.open_nursery() as nursery:
            serve = Serve(network, nursery)
            server = await serve(trioserver.TCPServer, slow, grace_period=grace_period)
            async with Client.connect(server):
                await trio.sleep(0.1)
                assert await serve.stop() is None
    assert getattr(server.statistics(), outcome) == 1


async def test_serve_when_the_arguments_make_no_sense_then_config_error(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Those for a class, given with a server; and what is no server."""
    with Network(seed=0) as network:
        async with trio.open_nursery() as nursery:
            serve = Serve(network, nursery)
            with pytest.raises(trioserver.ConfigError, match="are for a class"):
                await serve(trioserver.TCPServer(("", 0), Echo), max_requests=1)
            with pytest.raises(trioserver.ConfigError, match="server must be a server of trioserver"):
                await serve(Echo)
            with pytest.raises(
                trioserver.ConfigError, match="ThreadingTCPServer needs sockets of the operating"
            ):
                await serve(trioserver.ThreadingTCPServer, lambda *args: None)
            assert await serve.stop() is None
