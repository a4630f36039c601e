"""The parts that are plain values: delays, messages, command lines, and what is to be imported."""

from __future__ import annotations

import functools
import json
import socket
import subprocess
import sys
import types

import pytest
import trio
import worker_programs

from trioserver import ConfigError
from trioserver._workers.backoff import LASTED, RestartBackoff
from trioserver._workers.channel import Channel, encode, receive_blocking
from trioserver._workers.command import interpreter_options, worker_command
from trioserver._workers.process import describe_status
from trioserver._workers.target import pack, unpack
from trioserver._workers.workers import available_cpus


def test_delay_when_workers_do_not_last_then_doubles_to_ten_seconds() -> None:
    """None for the first; never more than 10 s, however often."""
    backoff = RestartBackoff()
    delays = [backoff.next_delay(0.0) for _ in range(10)]
    assert delays == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert {backoff.next_delay(1.0) for _ in range(2000)} == {10.0}


def test_delay_when_a_worker_has_lasted_then_begins_anew() -> None:
    """The next one is started at once."""
    backoff = RestartBackoff()
    assert [backoff.next_delay(served_for) for served_for in (0.0, 0.0, LASTED, 0.0)] == [0.0, 0.1, 0.0, 0.1]


async def test_channel_when_messages_come_in_pieces_then_each_is_whole() -> None:
    """Several at once, one in parts, and the end."""
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    with theirs:
        theirs.sendall(encode("one", value=1) + encode("two") + b'{"kind": ')
        assert await channel.receive() == {"kind": "one", "value": 1}
        assert channel.receive_nowait() == {"kind": "two"}
        assert channel.receive_nowait() is None
        theirs.sendall(b'"three"}\nrest')
        assert await channel.receive() == {"kind": "three"}
    assert await channel.receive() is None
    channel.tell("nobody hears")
    await channel.send("nobody hears")
    channel.close()
    channel.close()


async def test_channel_when_a_message_is_long_then_it_waits_for_the_reader() -> None:
    """And loses nothing of it."""
    ours, theirs = socket.socketpair()
    sender, receiver = Channel(ours), Channel(theirs)
    text = "x" * 2_000_000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(functools.partial(sender.send, "long", text=text))
        assert await receiver.receive() == {"kind": "long", "text": text}
    sender.close()
    assert await receiver.receive() is None
    receiver.close()


def test_first_message_when_the_parent_is_gone_then_there_is_none() -> None:
    """Also when it has gone in the middle of it."""
    for sent, expected in ((b"", None), (b'{"kind"', None), (encode("start"), {"kind": "start"})):
        ours, theirs = socket.socketpair()
        with ours:
            theirs.sendall(sent)
            theirs.close()
            assert receive_blocking(ours) == expected


@pytest.mark.parametrize(
    "make_server",
    [worker_programs.talk, functools.partial(worker_programs.talk_unless, "a"), "worker_programs:talk"],
)
def test_what_makes_a_server_comes_out_as_it_went_in(make_server: object) -> None:
    """By reference, through JSON."""
    packed = json.loads(json.dumps(pack(make_server)))  # type: ignore[arg-type]
    found = unpack(packed)
    if isinstance(make_server, functools.partial):
        assert isinstance(found, functools.partial)
        assert (found.func, found.args) == (make_server.func, make_server.args)
    else:
        assert found is worker_programs.talk


def test_what_stands_in_no_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that was typed in at a prompt."""
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    exec("def make_server(sockets): ...", vars(main))
    with pytest.raises(ConfigError, match="put it into a module"):
        pack(main.make_server)


MAIN = """
import sys
from trioserver._workers.target import pack, unpack

def make_server(sockets):
    return __name__

if __name__ == "__main__":
    print(unpack(pack(make_server))(None))
"""


@pytest.mark.parametrize("as_module", [True, False])
def test_what_stands_in_the_main_file_is_found_in_a_second_run_of_it(
    as_module: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of the file, or with ``-m`` of the module; under another name."""
    folder = tmp_path_factory.mktemp("main")
    (folder / "program.py").write_text(MAIN)
    command = ["-m", "program"] if as_module else [str(folder / "program.py")]
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.stdout, done.stderr) == ("__mp_main__\n", "")


def test_the_interpreter_of_a_worker_has_the_options_of_this_one() -> None:
    """Warnings, assertions, development mode: what a program sees is the same."""
    options = ["-O", "-B", "-s", "-bb", "-W", "error", "-X", "dev", "-X", "utf8=1"]
    code = "from trioserver._workers.command import interpreter_options; print(interpreter_options())"
    done = subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=20, check=True
    )
    found = eval(done.stdout)
    again = subprocess.run(
        [sys.executable, *found, "-c", code], capture_output=True, text=True, timeout=20, check=True
    )
    assert again.stdout == done.stdout
    assert {"-O", "-B", "-s", "-bb", "error", "dev", "utf8=1"} <= set(found)


def test_the_command_of_a_worker_begins_with_this_interpreter() -> None:
    """And keeps the current folder off the path, where a module could hide one of the stdlib's."""
    command = worker_command(7)
    assert command[0] == sys.executable
    assert command[1:-3] == interpreter_options()
    assert command[-3:-1] == ["-P", "-c"]
    assert command[-1].endswith("main(7)")


@pytest.mark.parametrize(
    ("status", "text"),
    [(0, "exited with status 0"), (-9, "was killed by SIGKILL"), (-99, "was killed by signal 99")],
)
def test_how_a_process_has_ended_in_words(status: int, text: str) -> None:
    """As in the errors."""
    assert describe_status(status) == text


def test_there_is_a_processor() -> None:
    """Or nobody would be here to count them."""
    assert available_cpus() >= 1
