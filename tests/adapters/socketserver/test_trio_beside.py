"""What trio does beside our servers, from inside: pauses, threads that are used again, and its own thread."""

from __future__ import annotations

import errno
import gc
import logging
import socket
import threading
import time
from typing import Any

import pytest

import trioserver
from trioserver_adapters import socketserver
from trioserver_adapters._socketserver.backoff import Backoff
from trioserver_adapters._socketserver.companion import companion_of
from trioserver_adapters._socketserver.workers import Workers

from .kit import ADDRESS, wait_until


def trio_threads() -> list[threading.Thread]:
    """Those in which trio runs."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("trioserver")]


def test_backoff_when_exhausted_then_doubles_to_a_second_and_is_over_with_the_first_success(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With one warning each time that it begins."""
    backoff, pauses = Backoff(), []
    for _ in range(2):
        for _ in range(9):
            backoff.failed(OSError(errno.EMFILE, "no more"))
            assert 0 < backoff.pause <= backoff._pause  # what is left of it
            pauses.append(backoff._pause)
        backoff.succeeded()
        assert backoff.pause == 0
    once = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0]
    assert pauses == pytest.approx(once * 2)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


def test_backoff_when_single_clients_fail_then_does_not_pause_until_too_many_do_in_a_row() -> None:
    """Sixteen are none too many; a success begins the count anew."""
    backoff = Backoff()
    for _ in range(2):
        for _ in range(16):
            backoff.failed(ConnectionAbortedError(errno.ECONNABORTED, "gone"))
            assert backoff.pause == 0
        backoff.succeeded()
    for _ in range(17):
        backoff.failed(ConnectionAbortedError(errno.ECONNABORTED, "gone"))
    assert backoff._pause == 0.01
    backoff.failed(OSError("of whatever kind"))
    assert backoff._pause == 0.01


def test_workers_when_one_of_the_other_kind_is_idle_then_it_ends() -> None:
    """A daemon can not be made of a thread that is none."""
    workers, done = Workers(), threading.Event()
    first = workers.start(done.set, daemon=False)
    assert first is not None
    assert done.wait(10)
    wait_until(lambda: workers._idle)
    second = workers.start(lambda: None, daemon=True)
    assert second is not None
    assert (first.daemon, second.daemon) == (False, True)
    first.join(0.5)  # less than it would wait for more work
    assert not first.is_alive()
    workers.close()
    second.join(10)


def test_workers_when_idle_for_long_then_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter waits for one that is no daemon."""
    monkeypatch.setattr("trioserver_adapters._socketserver.workers.IDLE_SECONDS", 0.01)
    workers = Workers()
    worker = workers.start(lambda: None, daemon=False)
    assert worker is not None
    worker.join(10)
    assert workers._idle == []


def test_server_when_it_waits_no_more_then_trios_thread_ends_by_itself() -> None:
    """Soon, so that a server which is dropped without being closed leaves nothing; it can go on, too."""
    server = socketserver.TCPServer(ADDRESS, lambda *args: None)
    server.timeout = 0.001
    for _ in range(2):
        server.handle_request()
        assert len(trio_threads()) == 1
        wait_until(lambda: not trio_threads())
    server.handle_request()
    server.server_close()
    assert trio_threads() == []


def test_server_when_it_serves_then_trios_thread_stays() -> None:
    """However long nothing happens."""
    with socketserver.TCPServer(ADDRESS, lambda *args: None) as server:
        server.timeout = 0.001
        server.handle_request()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        time.sleep(0.3)  # longer than an unneeded one stays
        assert len(trio_threads()) == 1
        server.shutdown()
        thread.join(10)
        assert not thread.is_alive()


def test_server_when_collected_then_trios_thread_ends() -> None:
    """Nothing that trio has keeps a server alive."""
    server: Any = socketserver.TCPServer(ADDRESS, lambda *args: None)
    server.timeout = 0.001
    server.handle_request()
    server.socket.close()
    server = None
    gc.collect()
    wait_until(lambda: not trio_threads())


def test_requests_when_trio_does_not_run_then_those_that_ended_are_forgotten() -> None:
    """As with a loop of one's own, that calls handle_request() when there is something."""
    with socketserver.ThreadingTCPServer(ADDRESS, lambda *args: None) as server:
        for _ in range(200):
            with socket.create_connection(server.server_address) as client:
                server.handle_request()
                assert client.recv(1) == b""
        assert len(companion_of(server)._pending) < 100


def test_requests_when_they_last_then_each_gets_a_task_within_a_moment() -> None:
    """Of the native server that owns them."""
    release = threading.Event()
    with socketserver.ThreadingTCPServer(ADDRESS, lambda *args: release.wait(10)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with (
            socket.create_connection(server.server_address),
            socket.create_connection(server.server_address),
        ):
            background = companion_of(server).start()
            wait_until(lambda: len(background.owner.requests) == 2)
            release.set()
            wait_until(lambda: len(background.owner.requests) == 0)
        server.shutdown()
        thread.join(10)


def test_thread_when_none_can_be_started_then_the_request_fails_and_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is closed, it counts no more, and nobody waits for a thread that never was."""
    start = threading.Thread.start

    def fail(self: threading.Thread) -> None:
        if "process_request_thread" in self.name:
            raise RuntimeError("can't start new thread")
        start(self)

    with socketserver.ThreadingTCPServer(ADDRESS, lambda *args: None) as server:
        server.max_requests = 1
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", fail)
            with socket.create_connection(server.server_address, 10) as client:
                server.handle_request()
                assert client.recv(1) == b""
        assert "can't start new thread" in capsys.readouterr().err
        assert len(server._threads) == 0
        server.timeout = 10
        with socket.create_connection(server.server_address, 10) as client:
            server.handle_request()  # there is room
            assert client.recv(1) == b""


def test_grace_period_when_it_is_nonsense_then_is_refused() -> None:
    """By a message that says what it may be; the server is closed all the same."""
    release = threading.Event()
    server = socketserver.ThreadingTCPServer(ADDRESS, lambda *args: release.wait(10))
    with socket.create_connection(server.server_address):
        server.handle_request()
        nonsense: Any = "5"
        with pytest.raises(trioserver.ConfigError, match="grace_period must be a number of seconds"):
            server.server_close(nonsense)
        assert server.fileno() == -1
        release.set()
        server.server_close()


@pytest.mark.parametrize("value", ["0.5", -1, True])
@pytest.mark.parametrize("name", ["request_timeout", "linger_timeout", "grace_period", "handshake_timeout"])
def test_timeouts_when_they_are_nonsense_then_the_message_names_them(name: str, value: object) -> None:
    """When one is set, and not when a client comes; the value before stays."""
    with socketserver.ThreadingTCPServer(ADDRESS, lambda *args: None) as server:
        setattr(server, name, 3)
        with pytest.raises(trioserver.ConfigError, match=f"{name} must be a number of seconds, at least 0"):
            setattr(server, name, value)
        assert getattr(server, name) == 3
    Server = type("Server", (socketserver.ThreadingTCPServer,), {name: value})
    with pytest.raises(trioserver.ConfigError, match=f"{name} must be a number of seconds, at least 0"):
        Server(ADDRESS, lambda *args: None)


def test_options_when_a_server_does_not_have_them_then_they_are_the_programs_own() -> None:
    """A program that was written for the standard library's servers may use any name."""
    with socketserver.TCPServer(ADDRESS, lambda *args: None) as server:
        own: Any = server
        own.grace_period = own.max_requests = "as it likes"
        assert own.grace_period == own.max_requests == "as it likes"


@pytest.mark.parametrize("value", ["3", 0, -1, True, 1.5])
def test_max_requests_when_it_is_nonsense_then_is_refused_and_stays(value: Any) -> None:
    """A limit of nothing would serve nobody."""
    with socketserver.ThreadingTCPServer(ADDRESS, lambda *args: None) as server:
        server.max_requests = 7
        with pytest.raises(trioserver.ConfigError, match="max_requests must be a whole number, at least 1"):
            server.max_requests = value
        assert server.max_requests == 7
