"""B39 and B40: datagrams as requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .kit import Flag, names, recording

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[..., Any]
    Connect = Callable[..., socket.socket]


def unix_path(cls: str, folder: Path, name: str) -> str | None:
    """A path to bind a socket to, if the class is one of Unix."""
    return str(folder / name) if "Unix" in cls else None


@pytest.fixture(params=["UDPServer", "UnixDatagramServer"])
def pair(
    request: pytest.FixtureRequest, make: Make, connect: Connect, tmp_path: Path
) -> Callable[..., tuple[Any, socket.socket]]:
    """``pair(handler, **attributes)``: a server of either transport, and a client that it can answer."""

    def pair(handler: Any, **attributes: Any) -> Any:
        cls = request.param
        address = unix_path(cls, tmp_path, "server")
        server = make(cls, handler, **({"address": address} if address else {}), **attributes)
        return server, connect(server, unix_path(cls, tmp_path, "client"))

    return pair


def test_b39_a_request_is_a_tuple_of_the_data_and_the_servers_socket(pair: Callable[..., Any]) -> None:
    """A tuple and no other sequence, with bytes; the address is the client's."""
    got: list[Any] = []
    server, client = pair(lambda *args: got.append(args))
    client.send(b"data")
    server.handle_request()
    [(request, client_address, given)] = got
    assert (type(request), type(request[0]), request) == (tuple, bytes, (b"data", server.socket))
    assert (client_address, given) == (client.getsockname(), server)


def test_b39_get_request_receives_one_datagram(pair: Callable[..., Any]) -> None:
    """Those who write their own loop call it; nothing is put into an object of another kind."""
    server, client = pair(None)
    client.send(b"one")
    client.send(b"two")
    assert server.get_request() == ((b"one", server.socket), client.getsockname())
    assert server.get_request() == ((b"two", server.socket), client.getsockname())


def test_b39_an_empty_datagram_is_a_request(pair: Callable[..., Any]) -> None:
    """And not the end of anything."""
    got: list[bytes] = []
    server, client = pair(lambda request, *args: got.append(request[0]))
    for data in (b"", b"x", b""):
        client.send(data)
        server.handle_request()
    assert got == [b"", b"x", b""]


def test_b39_the_reply_may_be_sent_later_from_any_thread(
    pair: Callable[..., Any], serving: Any, call: Callable[..., Any]
) -> None:
    """When the handler has returned the socket is as open as before, and still blocking."""
    kept: list[Any] = []
    handled = Flag()

    def keep(*args: Any) -> None:
        kept.append(args)
        handled.set()

    server, client = pair(keep)
    with serving(server):
        client.send(b"question")
        handled.block()
        (_, sock), client_address, _ = kept[0]
        assert call(sock.sendto, b"answer", client_address).wait() == len(b"answer")
        assert client.recv(100) == b"answer"
        assert sock.gettimeout() is None


def test_b39_nothing_is_done_to_the_request_at_its_end(module: Any) -> None:
    """``shutdown_request`` calls ``close_request``, and that does nothing: there is one socket for all."""
    server = recording(module.UDPServer)(("127.0.0.1", 0), None, False)
    with server:
        sock = server.socket
        assert server.shutdown_request((b"", sock)) is None
        assert names(server) == ["shutdown_request", "close_request"]
        assert server.close_request((b"", sock)) is None
        assert sock.fileno() != -1


@pytest.mark.parametrize("where", ["default", "UDPServer", "class", "instance"])
def test_b40_a_datagram_is_cut_at_max_packet_size(
    module: Any, make: Make, connect: Connect, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a word; the size is read when a datagram is received, from wherever it was set."""
    assert vars(module.UDPServer)["max_packet_size"] == 8192
    got: list[int] = []

    class Server(module.UDPServer):
        pass

    server = make(Server, lambda request, *args: got.append(len(request[0])))
    owner = {"UDPServer": module.UDPServer, "class": Server, "instance": server}.get(where)
    if owner is not None:
        monkeypatch.setattr(owner, "max_packet_size", 5, raising=False)
    client = connect(server)
    for size in (4, 5, 6, 8191, 8192, 8193, 9000):
        client.send(bytes(size))
        server.handle_request()
    most = 8192 if owner is None else 5
    assert got == [min(size, most) for size in (4, 5, 6, 8191, 8192, 8193, 9000)]
