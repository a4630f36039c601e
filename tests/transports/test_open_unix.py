"""Unix sockets: whose file it is, who may remove it, and who may connect."""

# ruff: noqa: ASYNC240  looking at a temporary directory does not block for long

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from trioserver import ConfigError
from trioserver._transports.open_unix import (
    SocketFile,
    check_path,
    open_unix_endpoint,
    peer_credentials,
)

if TYPE_CHECKING:
    from pathlib import Path

    from trioserver._transports.endpoint import ListeningEndpoint

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="exists on Linux only")


async def opened(
    path: str | bytes | Path, mode: int | None = None, backlog: int = 5
) -> tuple[ListeningEndpoint, SocketFile | None]:
    """Open a socket there."""
    return await open_unix_endpoint(check_path(path), kind=socket.SOCK_STREAM, mode=mode, backlog=backlog)


def leave_stale_file(path: Path) -> None:
    """What a server that was killed leaves behind."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


async def test_open_when_there_is_no_file_then_clients_can_connect(tmp_path: Path) -> None:
    """It listens at once, and at the end its file is removed."""
    endpoint, file = await opened(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s"))
        accepted, _ = endpoint.accept_nowait()
        accepted.close()
    assert file is not None
    file.remove()
    endpoint.close()
    assert list(tmp_path.iterdir()) == []


async def test_open_when_a_stale_file_is_there_then_it_is_replaced(tmp_path: Path) -> None:
    """A file on which nobody listens does not keep a server from starting."""
    leave_stale_file(tmp_path / "s")
    before = (tmp_path / "s").stat().st_ino, (tmp_path / "s").stat().st_ctime_ns
    endpoint, file = await opened(tmp_path / "s")
    endpoint.close()
    assert file is not None
    assert ((tmp_path / "s").stat().st_ino, (tmp_path / "s").stat().st_ctime_ns) != before


@pytest.mark.parametrize("backlog", [5, 0])
async def test_open_when_a_server_listens_there_then_it_is_refused(tmp_path: Path, backlog: int) -> None:
    """A live server keeps its file, also one whose backlog is full."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(path)
        live.listen(backlog)
        clients: list[socket.socket] = []
        try:
            while backlog == 0:
                clients.append(socket.socket(socket.AF_UNIX))
                clients[-1].setblocking(False)
                clients[-1].connect(path)
        except BlockingIOError:
            pass  # full
        with pytest.raises(OSError, match="another server uses") as caught:
            await opened(path)
        assert caught.value.errno == errno.EADDRINUSE
        assert os.path.exists(path)
        for client in clients:
            client.close()


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
async def test_open_when_something_else_is_there_then_it_is_left_alone(tmp_path: Path, kind: str) -> None:
    """What is no socket is never removed, a link to a stale socket neither."""
    path = tmp_path / "s"
    if kind == "file":
        path.write_text("precious")
    elif kind == "directory":
        path.mkdir()
    else:
        leave_stale_file(tmp_path / "target")
        path.symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="not a socket") as caught:
        await opened(path)
    assert caught.value.errno == errno.EADDRINUSE
    assert path.exists()


async def test_open_when_the_directory_does_not_exist_then_the_error_is_the_systems(tmp_path: Path) -> None:
    """No directory is ENOENT, from bind itself."""
    with pytest.raises(FileNotFoundError):
        await opened(tmp_path / "no" / "s")


@pytest.mark.parametrize("mode", [0o600, 0o777, 0o000])
async def test_open_when_a_mode_is_given_then_the_file_has_it(tmp_path: Path, mode: int) -> None:
    """The permissions are those asked for, whatever the umask."""
    endpoint, _ = await opened(tmp_path / "s", mode)
    endpoint.close()
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == mode


async def test_remove_when_another_file_took_the_place_then_it_stays(tmp_path: Path) -> None:
    """Only the own inode is removed; removing twice, or what is gone, is no error."""
    path = tmp_path / "s"
    endpoint, file = await opened(path)
    assert file is not None
    path.rename(tmp_path / "moved")
    path.write_text("another's")
    file.remove()
    assert path.read_text() == "another's"
    path.unlink()
    file.remove()
    endpoint.close()
    assert (tmp_path / "moved").exists()


async def test_remove_when_the_directory_was_changed_meanwhile_then_it_finds_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path means what it meant when the server was bound: daemons change their directory."""
    monkeypatch.chdir(tmp_path)
    endpoint, file = await opened("s")
    monkeypatch.chdir("/")
    assert file is not None
    file.remove()
    endpoint.close()
    assert list(tmp_path.iterdir()) == []


@on_linux
@pytest.mark.parametrize("as_bytes", [False, True])
async def test_open_when_the_name_is_abstract_then_there_is_no_file(as_bytes: bool) -> None:
    """An abstract name is listened on, once, and has no file to remove."""
    name = f"\0trioserver test {os.getpid()}"
    path = name.encode() if as_bytes else name
    endpoint, file = await opened(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
    with pytest.raises(OSError, match="in use"):
        await opened(path)
    endpoint.close()
    assert file is None


@pytest.mark.parametrize("wrong", ["", b"", None, 5, ("127.0.0.1", 0)])
def test_path_when_it_is_no_path_then_config_error(wrong: object) -> None:
    """The path of a socket is a non-empty str, bytes or path object."""
    with pytest.raises(ConfigError, match="server_address"):
        check_path(wrong)


def test_path_when_the_name_is_abstract_and_this_is_not_linux_then_config_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Elsewhere there are no abstract names."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ConfigError, match="Linux"):
        check_path("\0name")


@on_linux
async def test_credentials_when_the_socket_is_a_unix_socket_then_they_are_the_peers() -> None:
    """Process, user and group of the peer; ENOTSUP for what has none."""
    near, far = socket.socketpair()
    with near, far, socket.socket() as tcp:
        assert peer_credentials(near) == (os.getpid(), os.getuid(), os.getgid())
        with pytest.raises(OSError, match="credentials") as caught:
            peer_credentials(tcp)
    assert caught.value.errno == errno.ENOTSUP


START = """
import socket, sys, trio
from trioserver._transports.open_unix import open_unix_endpoint
async def main():
    sys.stdin.readline()
    try:
        endpoint = await open_unix_endpoint(sys.argv[1], kind=socket.SOCK_STREAM, mode=None, backlog=5)
    except OSError:
        print("lost", flush=True)
    else:
        print("won", flush=True)
        sys.stdin.readline()
trio.run(main)
"""


async def test_open_when_processes_start_at_once_then_exactly_one_wins(tmp_path: Path) -> None:
    """Servers that start together over a stale file do not remove each other's."""
    path = tmp_path / "s"
    leave_stale_file(path)
    starting = [
        subprocess.Popen(  # noqa: ASYNC220  it starts at once
            [sys.executable, "-W", "ignore", "-c", START, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(3)
    ]
    for process in starting:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = []
    for process in starting:
        assert process.stdout is not None
        said.append(await trio.to_thread.run_sync(process.stdout.readline))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))  # whoever won is there
    for process in starting:
        await trio.to_thread.run_sync(process.communicate)
    assert sorted(said) == ["lost\n", "lost\n", "won\n"]
