"""What the constructor takes, how it names what is wrong with it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from harness import Echo

import trioserver
from trioserver_adapters.blocking import BlockingServer

from .kit import LOOPBACK, ask, tcp

if TYPE_CHECKING:
    from collections.abc import Callable

    from .kit import Call

    MakeCall = Callable[..., Call]

BAD: list[tuple[str, Any]] = [
    ("server", None),
    ("server", trioserver.TCPServer),
    ("clock", trio.testing.MockClock),
    ("clock", 0),
    ("instruments", 1),
    ("instruments", [object()]),
    ("instruments", "abc"),
    ("grace_period", -1),
    ("grace_period", math.nan),
    ("grace_period", "10"),
    ("grace_period", True),
    ("grace_period", 10**400),
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=lambda part: str(part)[:20])
def test_constructor_when_an_argument_is_nonsense_then_names_it(name: str, value: Any) -> None:
    """At once, and not when trio is started."""
    options: dict[str, Any] = {"server": trioserver.TCPServer(LOOPBACK, Echo), name: value}
    with pytest.raises(trioserver.ConfigError, match=rf"^{name} must be") as caught:
        BlockingServer(options.pop("server"), **options)
    assert isinstance(caught.value, ValueError)


def test_constructor_when_another_keyword_is_given_then_is_refused() -> None:
    """Options of the server's are for its own constructor."""
    make: Any = BlockingServer
    with pytest.raises(TypeError, match="max_requests"):
        make(trioserver.TCPServer(LOOPBACK, Echo), max_requests=1)


def test_instruments_when_given_by_an_iterator_then_are_kept() -> None:
    """It is read once."""
    once: Any = iter([trio.abc.Instrument()])
    with BlockingServer(trioserver.TCPServer(LOOPBACK, Echo), instruments=once) as server:
        server.start()
        assert ask(server) == b"hello\n"


@pytest.mark.parametrize("value", [0, -1, "1", None])
def test_poll_interval_when_it_is_nonsense_then_is_named_and_nothing_is_served(value: Any) -> None:
    """By the native server, whose option it is."""
    with tcp() as server:
        with pytest.raises(trioserver.ConfigError, match="poll_interval"):
            server.serve_forever(value)
        assert server.server.state is trioserver.State.NEW
        server.start()
        assert ask(server) == b"hello\n"


@pytest.mark.parametrize("function", [lambda: None, lambda: 3])
def test_call_when_the_function_is_not_async_then_that_is_a_type_error(function: Any) -> None:
    """And the loop goes on."""
    with tcp() as server:
        with pytest.raises(TypeError, match="await"):
            server.call(function)
        server.start()
        assert ask(server) == b"hello\n"


def test_repr_when_shown_then_has_the_native_servers() -> None:
    """With its address and state."""
    server = tcp()
    assert repr(server) == f"<BlockingServer of {server.server!r}>"


def test_a_class_in_the_place_of_a_server_is_refused_with_a_hint() -> None:
    """What to pass instead."""
    cls: Any = trioserver.TCPServer
    with pytest.raises(trioserver.ConfigError, match="pass an instance"):
        BlockingServer(cls)
