"""Workers that can not start: at first that stops everything, with a reason. And options that are no good."""

from __future__ import annotations

import functools
import os
import re
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import worker_programs

import trioserver
from trioserver import ConfigError, State, WorkerError
from trioserver.testing import Network

from .kit import LOOPBACK, Watched

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("make_server", "message"),
    [
        (functools.partial(worker_programs.talk_unless, __file__), "RuntimeError at .*worker_programs.py:"),
        (worker_programs.nothing, "make_server must return a server, .* not None"),
        (worker_programs.elsewhere, "the server does not serve on the sockets that it was given"),
        (worker_programs.leave, r"it called sys.exit\(4\)"),
        ("nosuch:function", "make_server: there is no module 'nosuch'"),
        ("worker_programs:nosuch", "make_server: module 'worker_programs' has no 'nosuch'"),
        ("worker_programs:trio.__name__", "make_server: worker_programs:trio.__name__ is not a function"),
    ],
    ids=["raises", "no server", "other sockets", "exits", "no module", "no name", "no function"],
)
async def test_start_when_a_worker_can_not_then_says_why_and_leaves_nothing(
    make_server: Any, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The others, which could, are gone as well; a traceback is on standard error where it helps."""
    workers = Watched(make_server, LOOPBACK, workers=1)
    with pytest.raises(WorkerError, match=f"a worker could not start: {message}"):
        await workers.serve_forever()
    assert (workers.state, workers.processes) == (State.STOPPED, ())
    assert ("Traceback" in capfd.readouterr().err) is ("RuntimeError" in message)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no such device")
async def test_start_when_a_worker_has_too_much_to_say_then_says_how_it_begins() -> None:
    """A message of megabytes has no room in the channel; nor is it lost where standard error is full."""
    with pytest.raises(WorkerError, match=r"RuntimeError at .*worker_programs.py:\d+: very very ") as caught:
        await Watched(worker_programs.fail_at_length, LOOPBACK, workers=1).serve_forever()
    assert len(str(caught.value)) < 5000


async def test_start_when_a_worker_hangs_then_it_is_killed_after_a_time() -> None:
    """Its neighbours are not waited for either."""
    workers = Watched(worker_programs.hang, LOOPBACK, workers=2, start_timeout=0.8)
    with pytest.raises(WorkerError, match=re.escape("it could not serve within 0.8 s")):
        await workers.serve_forever()


async def test_start_when_there_is_no_process_to_be_had_then_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the system has no memory for one."""
    monkeypatch.setattr(sys, "executable", "/nosuch/python")
    with pytest.raises(WorkerError, match=r"no process could be started: .*/nosuch/python") as caught:
        await Watched(worker_programs.talk, LOOPBACK, workers=2).serve_forever()
    assert caught.value.exit_status is None


UNGUARDED = """
import trio, trioserver

def make_server(sockets):
    ...

{guard}trio.run(trioserver.Workers(make_server, ("127.0.0.1", 0), workers=1).serve_forever)
"""


@pytest.mark.parametrize("guard", [True, False])
def test_main_file_when_it_starts_the_workers_without_a_guard_then_is_told_so(
    guard: bool, tmp_path: Path
) -> None:
    """Each worker would start workers; with the guard the file is run for its functions alone."""
    program = tmp_path / "program.py"
    program.write_text(UNGUARDED.format(guard='if __name__ == "__main__": ' if guard else ""))
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    expected = "make_server must return a server" if guard else 'must stand below if __name__ == "__main__"'
    assert expected in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"make_server": lambda sockets: None}, "make_server: another process can not import"),
        ({"make_server": "module"}, "make_server must be 'module:function' or a function, not 'module'"),
        ({"make_server": 5}, "make_server must be a function or 'module:function', not 5"),
        ({"workers": 0}, "workers must be at least 1, or None for as many as there are processors"),
        ({"workers": "2"}, "workers must be a whole number"),
        ({"grace_period": -1}, "grace_period must be at least 0 seconds, or None for no bound"),
        ({"start_timeout": None}, "start_timeout must be a number of seconds"),
        ({"kill_timeout": "1"}, "kill_timeout must be a number of seconds"),
        ({"server_address": None}, r"server_address must be \(host, port\)"),
        ({"server_address": ("", 70000)}, "the port in server_address must be 0 to 65535"),
        ({"socket_type": socket.SOCK_RAW}, "socket_type must be SOCK_STREAM or SOCK_DGRAM"),
        ({"mode": 0o600}, "mode is for the path of a Unix socket alone"),
        ({"one_socket_each": "yes"}, "one_socket_each must be True or False"),
        ({"all_addresses": 2}, "all_addresses must be True or False"),
    ],
)
def test_option_when_it_can_not_be_used_then_the_constructor_says_what_would_be(
    options: dict[str, Any], message: str
) -> None:
    """In the terms of the caller, and before anything is started."""
    arguments = {"make_server": worker_programs.talk, "server_address": LOOPBACK, **options}
    with pytest.raises(ConfigError, match=message):
        trioserver.Workers(**arguments)


@pytest.mark.parametrize("name", ["grace_period"])
async def test_shutdown_when_the_grace_period_can_not_be_used_then_says_so(name: str) -> None:
    """Both ways to ask for it."""
    workers = Watched(worker_programs.talk, LOOPBACK)
    with pytest.raises(ConfigError, match=name):
        workers.request_shutdown(-1)
    with pytest.raises(ConfigError, match=name):
        await workers.shutdown("soon")  # type: ignore[arg-type]
    assert workers.state is State.NEW


async def test_start_when_the_network_is_simulated_then_is_refused() -> None:
    """Its sockets are not the operating system's."""
    workers = Watched(worker_programs.talk, LOOPBACK, workers=1)
    with Network(1) as network, network.host("a"):
        with pytest.raises(ConfigError, match="sockets of the operating system"):
            await workers.serve_forever()
