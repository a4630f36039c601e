"""Settings are read from ``self`` when they are needed: of the instance, its class, or our class itself."""

from __future__ import annotations

import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from .kit import ADDRESS, receive_all

if TYPE_CHECKING:
    from pathlib import Path

REUSE = {"allow_reuse_address": socket.SO_REUSEADDR, "allow_reuse_port": socket.SO_REUSEPORT}
PLACES = ["instance", "class", "module's class"]


def handler(request: Any, client_address: Any, server: Any) -> None:
    """Nothing to do."""


class FakeSocket:
    """Keeps what it is asked to do."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def listen(self, *args: Any) -> None:
        self.asked.append(args)

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        """There is nothing to close."""


@pytest.fixture(params=PLACES)
def make_with(request: pytest.FixtureRequest, module: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``make_with(class_name, handler, name=value)``: the settings are made in one of three places."""

    def make_with(cls_name: str, handler: Any, address: Any = ADDRESS, **settings: Any) -> Any:
        cls = getattr(module, cls_name)
        if request.param == "instance":
            return make(cls, handler, address, **settings)
        if request.param == "class":
            return make(type("Mine", (cls,), settings), handler, address)
        for name, value in settings.items():
            monkeypatch.setattr(cls, name, value)
        return make(type("Mine", (cls,), {}), handler, address)

    return make_with


def is_set(server: Any, option: int) -> bool:
    """Whether a socket option is on."""
    return bool(server.socket.getsockopt(socket.SOL_SOCKET, option))


@pytest.mark.parametrize("name", REUSE)
@pytest.mark.parametrize("cls", ["TCPServer", "UDPServer", "ThreadingTCPServer", "ForkingUDPServer"])
def test_b04_b05_b06_an_address_or_port_is_reused_only_where_that_is_asked_for(
    make_with: Any, cls: str, name: str
) -> None:
    """The one option is set and not the other; any true value asks for it."""
    server = make_with(cls, handler, **{name: "yes"})
    assert [option for option, number in REUSE.items() if is_set(server, number)] == [name]


@pytest.mark.parametrize("value", [False, 0, None])
def test_b04_b05_by_default_neither_address_nor_port_is_reused(module: Any, make: Any, value: Any) -> None:
    """Nor where the setting is any false value."""
    for cls in ("TCPServer", "UDPServer"):
        assert (getattr(module, cls).allow_reuse_address, getattr(module, cls).allow_reuse_port) == (
            False,
            False,
        )
        for server in (
            make(cls, handler),
            make(cls, handler, allow_reuse_address=value, allow_reuse_port=value),
        ):
            assert [is_set(server, number) for number in REUSE.values()] == [False, False]


def test_b05_datagram_servers_have_settings_of_their_own(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a program sets on TCPServer does not become true of them."""
    for name in REUSE:
        monkeypatch.setattr(module.TCPServer, name, True)
    with module.UDPServer(ADDRESS, handler) as server:
        assert [is_set(server, number) for number in REUSE.values()] == [False, False]


@pytest.mark.parametrize("cls", ["UnixStreamServer", "UnixDatagramServer"])
def test_b05_the_port_is_not_reused_where_there_are_no_ports(
    make: Any, is_ours: bool, tmp_path: Path, cls: str
) -> None:
    """Linux refuses the option for Unix sockets from 6.12.9 on; the stdlib left it out later than that."""
    if not is_ours and sys.version_info < (3, 14):
        pytest.skip("depends on the release and the kernel")
    server = make(cls, handler, str(tmp_path / "socket"), allow_reuse_port=True)
    assert not is_set(server, socket.SO_REUSEPORT)


def test_b05_the_port_is_not_reused_where_the_platform_has_no_such_option(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting is harmless there."""
    number = socket.SO_REUSEPORT
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    server = make("TCPServer", handler, allow_reuse_port=True)
    assert not server.socket.getsockopt(socket.SOL_SOCKET, number)


def test_b06_the_family_of_the_socket_is_read_when_it_is_made(make_with: Any, tmp_path: Path) -> None:
    """So that a server of IP becomes one of Unix sockets."""
    server = make_with("TCPServer", handler, str(tmp_path / "socket"), address_family=socket.AF_UNIX)
    assert server.socket.family == socket.AF_UNIX


def test_b06_the_type_of_the_socket_is_read_when_it_is_made(make_with: Any) -> None:
    """The class does not decide it."""
    server = make_with("UDPServer", handler, socket_type=socket.SOCK_STREAM)
    assert server.socket.type == socket.SOCK_STREAM


def test_b07_listen_gets_the_queue_size_that_is_set_when_the_server_is_activated(
    module: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instance's before the class's before that of the module's class, which is 5 by default."""
    cls = type("Mine", (module.TCPServer,), {})
    server = make(cls, handler, bind=False)
    server.server_close()
    server.socket = FakeSocket()
    for owner, value in [(None, 5), (module.TCPServer, 6), (cls, 7), (server, 8)]:
        if owner is not None:
            monkeypatch.setattr(owner, "request_queue_size", value)
        server.server_activate()
        assert server.socket.asked.pop() == (value,)


def test_b07_datagram_servers_do_not_listen(make: Any) -> None:
    """Their activation asks nothing of the socket."""
    server = make("UDPServer", handler, bind=False)
    server.server_close()
    server.socket = FakeSocket()
    server.server_activate()
    assert server.socket.asked == []


def test_b07_the_size_of_a_datagram_is_read_for_each(
    module: Any, make: Any, serving: Any, connect: Any
) -> None:
    """From the class or the instance, while the server serves."""
    server = make("UDPServer", lambda request, address, _: request[1].sendto(request[0], address))
    with serving(server):
        client = connect(server)
        assert server.max_packet_size == 8192
        for owner, value in [
            (None, 6),
            (type("Mine", (module.UDPServer,), {"max_packet_size": 4}), 4),
            (server, 2),
        ]:
            if isinstance(owner, type):
                server.__class__ = owner
            elif owner is not None:
                owner.max_packet_size = value
            client.send(b"packet")
            assert client.recv(100) == b"packet"[:value]


def test_b07_whether_threads_are_daemons_is_read_for_each_request(
    module: Any, make: Any, serving: Any, connect: Any
) -> None:
    """The setting may change from one to the next; False by default."""
    server = make(
        "ThreadingTCPServer", lambda request, *_: request.sendall(b"%d" % threading.current_thread().daemon)
    )
    assert module.ThreadingMixIn.daemon_threads is False
    with serving(server):
        assert receive_all(connect(server)) == b"0"
        server.daemon_threads = True
        assert receive_all(connect(server)) == b"1"
        server.__class__ = type("Mine", (module.ThreadingTCPServer,), {"daemon_threads": True})
        del server.daemon_threads
        assert receive_all(connect(server)) == b"1"
