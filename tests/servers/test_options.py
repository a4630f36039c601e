"""Options: where they may be set, and what is said of those that are wrong."""

from __future__ import annotations

import functools
import math
import socketserver
from typing import Any

import pytest
from harness import Echo

import trioserver


class Patient(trioserver.TCPServer):
    """A subclass with options of its own."""

    linger_timeout = 7.0
    max_requests = 3


def make(cls: type[trioserver.TCPServer] = trioserver.TCPServer, /, **options: Any) -> trioserver.TCPServer:
    """A server that is not opened."""
    return cls(("127.0.0.1", 0), Echo, **options)


def test_option_when_set_on_class_keyword_or_instance_then_the_nearest_holds() -> None:
    """A keyword wins over the class, and the instance over both."""
    assert (make(Patient).linger_timeout, make(Patient).max_requests) == (7.0, 3)
    server = make(Patient, linger_timeout=1.5)
    assert server.linger_timeout == 1.5
    server.linger_timeout = 0
    assert (server.linger_timeout, Patient.linger_timeout) == (0, 7.0)


@pytest.mark.parametrize("name", ["mode", "max_request", "server_address_family"])
def test_option_when_unknown_then_type_error_lists_those_there_are(name: str) -> None:
    """A mistyped option is not ignored; the message has the right spelling."""
    with pytest.raises(TypeError, match=name) as caught:
        make(**{name: 1})
    for known in ("max_requests", "request_queue_size", "all_addresses", "linger_timeout"):
        assert known in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_requests", 0),
        ("max_requests", -1),
        ("max_requests", 1.5),
        ("max_requests", True),
        ("timeout", -1),
        ("timeout", "5"),
        ("timeout", math.nan),
        ("poll_interval", 0),
        ("poll_interval", None),
        ("request_queue_size", -1),
        ("linger_timeout", None),
        ("max_linger_bytes", 0.5),
    ],
)
def test_option_when_unusable_then_the_error_names_it(name: str, value: object) -> None:
    """A ConfigError, which is a ValueError, at construction."""
    with pytest.raises(trioserver.ConfigError, match=name):
        make(**{name: value})


def test_max_requests_when_set_to_nonsense_later_then_is_refused_and_unchanged() -> None:
    """The limit may be changed at any time, and is checked at any time."""
    server = make(max_requests=5)
    with pytest.raises(trioserver.ConfigError, match="max_requests"):
        server.max_requests = 0
    assert server.max_requests == 5


class StdlibHandler(socketserver.StreamRequestHandler):
    """A handler of the stdlib, which runs in its constructor and can not be awaited."""

    def setup(self) -> None:
        raise AssertionError("never called")


@pytest.mark.parametrize("handler", [StdlibHandler, None, "Echo", object])
def test_handler_when_it_can_not_be_awaited_then_config_error_names_it(handler: Any) -> None:
    """A stdlib handler class, above all, is refused at construction, with a word on what to do."""
    with pytest.raises(trioserver.ConfigError, match="RequestHandlerClass") as caught:
        trioserver.TCPServer(("127.0.0.1", 0), handler)
    if handler is StdlibHandler:
        assert "socketserver" in str(caught.value)
        assert "trioserver.BaseRequestHandler" in str(caught.value)


async def of_one(request: Any) -> None:
    """Can be awaited, and never called."""


class Unbound(trioserver.StreamRequestHandler):
    """Has a method that somebody may take for a handler."""


@pytest.mark.parametrize("handler", [of_one, Unbound.handle], ids=["a function", "a method of a class"])
def test_handler_when_it_can_not_be_called_as_one_then_config_error_says_with_what(handler: Any) -> None:
    """When the server is made, and not with the first request."""
    with pytest.raises(trioserver.ConfigError, match="is called with a request, a client address"):
        trioserver.TCPServer(("127.0.0.1", 0), handler)


async def of_more(request: Any, client_address: Any, server: Any, *, greeting: bytes) -> None:
    """Wants something that is its program's."""


def test_handler_when_the_rest_of_its_arguments_is_there_then_it_is_one() -> None:
    """A partial object, say."""
    lacking: Any = of_more
    with pytest.raises(trioserver.ConfigError, match="greeting"):
        trioserver.TCPServer(("127.0.0.1", 0), lacking)
    trioserver.TCPServer(("127.0.0.1", 0), functools.partial(of_more, greeting=b"hello"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", "5"),
        ("timeout", -1),
        ("finish_timeout", None),
        ("max_line_bytes", 0),
        ("max_line_bytes", 1.5),
    ],
)
def test_handler_class_when_an_option_of_it_is_unusable_then_config_error_names_it(
    name: str, value: object
) -> None:
    """When the server is made, and not with the first request."""
    Handler = type("Handler", (trioserver.StreamRequestHandler,), {name: value})
    with pytest.raises(trioserver.ConfigError, match=f"Handler.{name} must be"):
        trioserver.TCPServer(("127.0.0.1", 0), Handler)


def test_handler_class_when_an_option_of_it_is_a_property_then_each_handler_is_asked() -> None:
    """It may depend on the client."""

    class Handler(trioserver.StreamRequestHandler):
        @property
        def timeout(self) -> float:  # type: ignore[override]
            return 5

    trioserver.TCPServer(("127.0.0.1", 0), Handler)
