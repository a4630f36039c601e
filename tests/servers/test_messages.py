"""What a user reads."""

from __future__ import annotations

import socketserver
from typing import TYPE_CHECKING, Any

import pytest
import trio

import trioserver

if TYPE_CHECKING:
    from pathlib import Path


async def handler(request: object, client_address: object, server: object) -> None:
    """Does nothing."""


async def test_a_socket_file_in_use_is_said_to_be_in_use(tmp_path: Path) -> None:
    """And not how that was found out."""
    path = tmp_path / "socket"
    async with trioserver.UnixStreamServer(path, handler):
        with pytest.raises(OSError, match="another server uses the socket file: ") as caught:
            async with trioserver.UnixStreamServer(path, handler):
                pass
    assert "probed" not in str(caught.value)


def test_the_docstring_of_starttls_shows_the_escape() -> None:
    """It is a raw one."""
    assert r"TLS\r\n" in (trioserver.StreamRequestHandler.starttls.__doc__ or "")


async def test_an_address_that_can_not_be_had_is_named(tmp_path: Path) -> None:
    """The system's messages say what is wrong, and not with what."""
    missing = tmp_path / "missing" / "socket"
    with pytest.raises(FileNotFoundError) as no_folder:
        async with trioserver.UnixStreamServer(missing, handler):
            pass
    assert str(missing) in "".join(no_folder.value.__notes__)
    with pytest.raises(OSError, match=r"not known|nodename|failure|No address") as no_name:
        async with trioserver.TCPServer(("nosuch.invalid", 0), handler):
            pass
    assert "nosuch.invalid" in "".join(no_name.value.__notes__)


async def test_with_in_place_of_async_with_is_told_so() -> None:
    """The first thing that somebody types who comes from the stdlib."""
    with pytest.raises(TypeError, match="async with"):
        with trioserver.TCPServer(("127.0.0.1", 0), handler):  # type: ignore[attr-defined]
            pass


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("handshake_timeout", -1),
        ("linger_timeout", None),
        ("request_queue_size", "5"),
        ("allow_reuse_address", "no"),
        ("suppress_ragged_eofs", None),
        ("portable_io", "x"),
        ("all_addresses", "yes"),
        ("request_timeout", "5"),
        ("max_requests", 0),
    ],
)
async def test_an_option_that_is_not_usable_is_refused_at_once_also_while_serving(
    option: str, value: object
) -> None:
    """It is named, and the one before stays."""
    async with trioserver.TCPServer(("127.0.0.1", 0), handler).running() as server:
        before = getattr(server, option)
        with pytest.raises(trioserver.ConfigError, match=option):
            setattr(server, option, value)
        assert getattr(server, option) == before
        stream = await trio.open_tcp_stream(*server.server_address)
        await stream.aclose()


async def generator(request: object, client_address: object, server: object) -> object:
    """Would never run."""
    yield


def plain_generator(request: object, client_address: object, server: object) -> object:
    """Would never run, either."""
    yield


@pytest.mark.parametrize(
    "server_class", [trioserver.TCPServer, trioserver.UDPServer, trioserver.UDPSessionServer]
)
@pytest.mark.parametrize("wrong", [generator, plain_generator])
def test_a_handler_that_yields_is_refused(server_class: Any, wrong: object) -> None:
    """It would be called, and never run."""
    with pytest.raises(trioserver.ConfigError, match="yield"):
        server_class(("127.0.0.1", 0), wrong)


class Blocking(socketserver.StreamRequestHandler):
    """Of connections."""


class BlockingDatagram(socketserver.DatagramRequestHandler):
    """Of datagrams."""


class Stream(trioserver.StreamRequestHandler):
    """Of connections."""


class Datagram(trioserver.DatagramRequestHandler):
    """Of datagrams."""


@pytest.mark.parametrize(
    ("server_class", "wrong", "right"),
    [
        (trioserver.TCPServer, Blocking, "ThreadingTCPServer"),
        (trioserver.TCPServer, Datagram, "connections"),
        (trioserver.UDPServer, Stream, "datagrams"),
        (trioserver.UDPSessionServer, Stream, "sessions"),
        (trioserver.UDPSessionServer, Datagram, "sessions"),
        (trioserver.ThreadingTCPServer, BlockingDatagram, "connections"),
        (trioserver.ThreadingUDPServer, Blocking, "datagrams"),
    ],
)
def test_a_handler_of_another_kind_of_request_is_refused(server_class: Any, wrong: type, right: str) -> None:
    """And the message says what would be right."""
    with pytest.raises(trioserver.ConfigError, match=right):
        server_class(("127.0.0.1", 0), wrong)
