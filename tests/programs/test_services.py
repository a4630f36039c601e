"""Servers that programs start as their documentation says: metrics, JSON-RPC, Robot Framework."""

from __future__ import annotations

import contextlib
import signal
import socket
from importlib import import_module
from typing import TYPE_CHECKING, Any
from xmlrpc.client import ServerProxy

import pytest

from .kit import HOST, PLAIN, SECONDS, certificate, curl, get, need, running, script, together

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .kit import Program

PROMETHEUS = """
import sys
from prometheus_client import Counter, start_http_server
seen = Counter("lines", "Lines seen")
tls = {"certfile": "cert.pem", "keyfile": "key.pem"} if sys.argv[1:] else {}
server, thread = start_http_server(0, "127.0.0.1", **tls)
print("Metrics on port", server.server_port)
for line in sys.stdin:
    seen.inc()
    print("seen", flush=True)
server.shutdown()
thread.join()
server.server_close()
print("Bye")
"""

JSONRPC = """
import sys, threading
from jsonrpclib.SimpleJSONRPCServer import PooledJSONRPCServer
from jsonrpclib.threadpool import ThreadPool
from socket import AF_INET, AF_UNIX
everybody = threading.Barrier(4)
pool = ThreadPool(max_threads=4, min_threads=0)
pool.start()
address, family = ("rpc.sock", AF_UNIX) if sys.argv[1:] else (("127.0.0.1", 0), AF_INET)
server = PooledJSONRPCServer(address, thread_pool=pool, address_family=family, logRequests=False)
server.register_function(pow)
server.register_function(lambda: everybody.wait(10) >= 0, "meet")
server.register_function(lambda: threading.current_thread().name, "thread")
print("Serving on", server.server_address)
try:
    server.serve_forever()
except KeyboardInterrupt:
    print("Interrupted")
finally:
    server.server_close()
print("Bye", threading.active_count() <= 2)
"""

ROBOT = """
from robotremoteserver import RobotRemoteServer
class Library:
    def strings_should_be_equal(self, one, two):
        print("Comparing", one, two)
        if one != two:
            raise AssertionError("they are not")
    def count(self, text, letter="e"):
        return text.count(letter)
RobotRemoteServer(Library(), port=0, port_file="port.txt")
"""


def test_prometheus_when_scraped_at_once_then_each_gets_the_numbers(tmp_path: Path) -> None:
    """While the program goes on counting; the server in its thread is shut down and joined."""
    need("prometheus_client")
    with running(tmp_path, script(tmp_path, PROMETHEUS), ready=r"on port (\d+)") as program:
        program.type("a\nb\nc\n")
        program.wait_output("(seen\n){3}")
        texts = together(6, lambda _: get(f"{program.url}/metrics").decode())
        assert all("\nlines_total 3.0\n" in text for text in texts)
        assert "lines_total 3.0" in curl("--compressed", "-H", "Connection: close", program.url)
        assert program.process.stdin is not None
        program.process.stdin.close()
        assert program.wait_clean_end().endswith("Bye\n")


def test_prometheus_when_a_client_is_silent_instead_of_shaking_hands_then_others_are_served(
    tmp_path: Path,
) -> None:
    """It wraps the listener, and so all handshakes are made in the accept loop: not on us."""
    need("prometheus_client")
    if PLAIN:
        pytest.skip("the standard library's module serves nobody then")
    context = certificate(tmp_path)
    with running(tmp_path, script(tmp_path, PROMETHEUS), "tls", ready=r"on port (\d+)") as program:
        with socket.create_connection((HOST, program.port), timeout=SECONDS):
            url = f"https://{HOST}:{program.port}/metrics"
            texts = together(6, lambda _: get(url, context=context).decode())
            assert all("\nlines_total 0.0\n" in text for text in texts)
        assert program.process.stdin is not None
        program.process.stdin.close()
        assert program.wait_clean_end().endswith("Bye\n")


@contextlib.contextmanager
def closing_proxy(program: Program) -> Iterator[Any]:
    """Of jsonrpclib, for the program's server."""
    proxy = import_module("jsonrpclib").ServerProxy(program.url)
    try:
        yield proxy
    finally:
        proxy("close")()


def test_jsonrpclib_when_called_by_several_at_once_then_its_pool_serves_them(tmp_path: Path) -> None:
    """``process_request`` hands connections to a pool; a call that ends only when four are there."""
    need("jsonrpclib")
    jsonrpclib = import_module("jsonrpclib")
    with running(tmp_path, script(tmp_path, JSONRPC), ready=r"Serving on \(.*, (\d+)\)") as program:
        with closing_proxy(program) as proxy:
            assert proxy.pow(2, 9) == 512
            with pytest.raises(jsonrpclib.ProtocolError, match="nothing not supported"):
                proxy.nothing()

        def meet(_: int) -> object:
            with closing_proxy(program) as proxy:
                return proxy.meet()

        assert together(4, meet) == [True] * 4
        body = '[{"jsonrpc": "2.0", "id": 1, "method": "pow", "params": [3, 3]}]'
        assert '"result": 27' in curl("--data", body, program.url)
        program.interrupt()
        assert program.wait_clean_end().endswith("Interrupted\nBye True\n")


def test_jsonrpclib_when_on_a_unix_socket_then_is_called_there(tmp_path: Path) -> None:
    """It turns the handler's TCP option off, and the file stays."""
    need("jsonrpclib")
    with running(tmp_path, script(tmp_path, JSONRPC), "unix", ready="Serving on rpc.sock") as program:
        body = '{"jsonrpc": "2.0", "id": 1, "method": "pow", "params": [2, 5]}'
        socket_option = ("--unix-socket", str(tmp_path / "rpc.sock"))
        assert [
            text.partition('"result": ')[2].partition(",")[0]
            for text in together(4, lambda _: curl(*socket_option, "--data", body, "http://localhost/"))
        ] == ["32"] * 4
        program.interrupt()
        assert program.wait_clean_end().endswith("Bye True\n")
    assert (tmp_path / "rpc.sock").exists()


@pytest.mark.parametrize("how", ["remotely", "SIGINT", "SIGTERM"])
def test_robot_server_when_stopped_then_ends_in_order(tmp_path: Path, how: str) -> None:
    """By a call, whose answer still comes, or by a signal: the handler starts a thread that shuts it down."""
    need("robotremoteserver")
    with running(tmp_path, script(tmp_path, ROBOT), ready=r"at 127.0.0.1:(\d+) started") as program:
        assert int((tmp_path / "port.txt").read_text()) == program.port
        with ServerProxy(program.url) as robot:
            proxy: Any = robot
            assert "count" in str(proxy.get_keyword_names())
            result = proxy.run_keyword("strings_should_be_equal", ["a", "b"])
            assert (result["status"], result["error"], result["output"]) == (
                "FAIL",
                "they are not",
                "Comparing a b\n",
            )
            counts: list[Any] = together(
                4, lambda number: ServerProxy(program.url).run_keyword("count", ["tree" * number])
            )
            assert [count["return"] for count in counts] == [0, 2, 4, 6]
            if how == "remotely":
                assert proxy.stop_remote_server() is True
        if how != "remotely":
            program.interrupt(signal.Signals[how])
        assert "stopped." in program.wait_clean_end()
    assert not (tmp_path / "port.txt").exists()
