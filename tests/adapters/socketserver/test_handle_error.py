"""handle_error(): what it prints, and what its own errors do."""

from __future__ import annotations

import io
import sys
import traceback
from typing import Any

import pytest

from .kit import Flag, names, receive_all, recording, throw

LINE = "-" * 40 + "\n"


def fail(request: Any, client_address: Any, server: Any) -> None:
    """A handler that fails; the first error is part of what is printed."""
    try:
        throw(OSError("first"))
    except OSError as error:
        raise ValueError("second") from error


@pytest.mark.parametrize("cls", ["TCPServer", "UDPServer"])
def test_b15_the_error_is_printed_between_two_lines(
    module: Any,
    make: Any,
    connect: Any,
    serving_one: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    cls: str,
) -> None:
    """With the address of the client, to what is ``sys.stderr`` when the error comes, and nothing else is."""
    printed: list[str] = []
    stderr = io.StringIO()
    done = Flag()

    class Server(getattr(module, cls)):  # type: ignore[misc]
        def handle_error(self, request: Any, client_address: Any) -> None:
            printed.append(traceback.format_exc())
            monkeypatch.setattr(sys, "stderr", stderr)
            assert super().handle_error(request, client_address) is None
            monkeypatch.undo()
            done.set()

    server = make(Server, fail)
    with serving_one(server):
        client = connect(server)
        if cls == "UDPServer":
            client.send(b"data")
        done.block()
    address = client.getsockname()
    first = f"Exception occurred during processing of request from {address}\n"
    assert stderr.getvalue() == LINE + first + printed[0] + LINE
    assert "OSError: first" in printed[0]
    assert printed[0].endswith("\nValueError: second\n")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("address", ["a path", b"bytes", None, ("::1", 2, 0, 0)])
def test_b15_the_address_is_printed_as_print_does(
    module: Any, capsys: pytest.CaptureFixture[str], address: Any
) -> None:
    """A text without quotes; outside of an except block there is no traceback to print."""
    module.BaseServer(None, None).handle_error(object(), address)
    first = f"Exception occurred during processing of request from {address!s}\n"
    assert capsys.readouterr() == ("", LINE + first + "NoneType: None\n" + LINE)


@pytest.mark.parametrize("error", [ValueError("x"), OSError("x"), StopIteration(), SystemExit(2)])
def test_b15_what_handle_error_raises_is_raised_and_the_request_is_not_shut_down(
    module: Any, make: Any, connect: Any, serving_one: Any, error: BaseException
) -> None:
    """With the error of the handler as its context."""
    server = make(recording(module.TCPServer, handle_error=lambda *args: throw(error)), fail)
    with serving_one(server) as thread:
        client = connect(server)
        with pytest.raises(type(error)) as caught:
            thread.wait()
        assert caught.value is error
        assert repr(error.__context__) == "ValueError('second')"
    assert "shutdown_request" not in names(server)
    (request,) = {call.args[0] for call in server.calls if call.name == "handle_error"}
    request.close()
    assert receive_all(client) == b""


def test_b15_handle_error_may_raise_what_it_was_to_handle(
    module: Any, make: Any, connect: Any, serving_one: Any
) -> None:
    """CPython's own tests do that, so that an error of a request ends them."""
    error = ValueError("x")

    class Server(module.TCPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            self.close_request(request)
            raise

    server = make(Server, lambda *args: throw(error))
    with serving_one(server) as thread:
        assert receive_all(connect(server)) == b""
        with pytest.raises(ValueError, match="x") as caught:
            thread.wait()
        assert caught.value is error
        assert error.__context__ is None


def test_b15_what_shutting_down_raises_after_an_error_is_raised(
    module: Any, make: Any, connect: Any, serving_one: Any
) -> None:
    """That is not handled once more."""
    error = ValueError("x")

    def shutdown_request(self: Any, request: Any) -> None:
        request.close()
        raise error

    cls = recording(module.TCPServer, handle_error=lambda *args: None, shutdown_request=shutdown_request)
    server = make(cls, fail)
    with serving_one(server) as thread:
        assert receive_all(connect(server)) == b""
        with pytest.raises(ValueError, match="x") as caught:
            thread.wait()
        assert caught.value is error
        assert repr(error.__context__) == "ValueError('second')"
    assert names(server).count("handle_error") == names(server).count("shutdown_request") == 1


def test_b17_what_shutting_down_raises_after_a_fatal_error_is_raised_instead(
    module: Any, make: Any, connect: Any, serving_one: Any
) -> None:
    """With the fatal one as its context."""
    error, fatal = ValueError("x"), SystemExit(1)

    def shutdown_request(self: Any, request: Any) -> None:
        request.close()
        raise error

    cls = recording(module.TCPServer, shutdown_request=shutdown_request)
    server = make(cls, lambda *args: throw(fatal))
    with serving_one(server) as thread:
        assert receive_all(connect(server)) == b""
        with pytest.raises(ValueError, match="x") as caught:
            thread.wait()
        assert caught.value is error
        assert error.__context__ is fatal
    assert "handle_error" not in names(server)
