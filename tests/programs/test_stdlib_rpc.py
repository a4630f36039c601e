"""The standard library's other servers: ``xmlrpc.server``, ``logging.config.listen``, IDLE's own protocol."""

from __future__ import annotations

import json
import socket
import struct
from typing import TYPE_CHECKING, Any
from xmlrpc.client import Fault, MultiCall, ServerProxy

import pytest

from .kit import HOST, SECONDS, running, script, together

if TYPE_CHECKING:
    from pathlib import Path

XMLRPC = """
import threading
from socketserver import ThreadingMixIn
from xmlrpc.server import SimpleXMLRPCServer
class Server(ThreadingMixIn, SimpleXMLRPCServer):
    pass
everybody = threading.Barrier(5)
def quit():
    server.shutdown()
    return "stopped"
with Server(("127.0.0.1", 0), logRequests=False, allow_none=True) as server:
    server.register_introspection_functions()
    server.register_multicall_functions()
    server.register_function(pow)
    server.register_function(lambda: everybody.wait(10) >= 0, "meet")
    server.register_function(quit)
    print("Serving on port", server.server_address[1])
    server.serve_forever()
    print("Bye")
"""

LOGGING = """
import logging, logging.config, sys
thread = logging.config.listen(0, verify=lambda data: data if b"bad" not in data else None)
thread.start()
thread.ready.wait()
print("Listening on port", thread.port)
for line in sys.stdin:
    logging.getLogger("app").info(line.strip())
    print("logged", flush=True)
logging.config.stopListening()
thread.join()
print("Bye")
"""

IDLE = """
import sys
from idlelib import rpc
class Methods:
    def add(self, a, b):
        return a + b
    def fail(self):
        raise LookupError("no such thing")
class Handler(rpc.RPCHandler):
    def handle(self):
        self.register("methods", Methods())
        super().handle()
server = rpc.RPCServer(("127.0.0.1", int(sys.argv[1])), Handler)
print("Connected")
server.handle_request()
"""


def test_xmlrpc_when_called_by_several_at_once_then_answers_each(tmp_path: Path) -> None:
    """Values, faults, a multicall; a call that ends only when five are there; one that stops the server."""
    with running(tmp_path, script(tmp_path, XMLRPC), ready=r"on port (\d+)") as program:
        with ServerProxy(program.url, allow_none=True) as proxy:
            assert "pow" in str(proxy.system.listMethods())
            assert proxy.pow(2, 9) == 512
            calls = MultiCall(proxy)
            calls.pow(3, 2)
            calls.pow(3, 3)
            results: Any = calls()  # has no `__iter__`, and is iterated by index
            assert list(results) == [9, 27]
            with pytest.raises(Fault, match="ZeroDivisionError"):
                proxy.pow(0, -1)
            assert together(5, lambda _: ServerProxy(program.url).meet()) == [True] * 5
            assert proxy.quit() == "stopped"
        assert program.wait_clean_end().endswith("Bye\n")


def test_logging_listener_when_it_is_sent_a_configuration_then_logs_by_it(tmp_path: Path) -> None:
    """One that its ``verify`` refuses changes nothing; it stops when it is told to."""
    config = {
        "version": 1,
        "handlers": {"file": {"class": "logging.FileHandler", "filename": "app.log"}},
        "loggers": {"app": {"handlers": ["file"], "level": "INFO"}},
    }
    bad = {"version": 1, "loggers": {"app": {"level": "ERROR"}, "bad": {}}}
    with running(tmp_path, script(tmp_path, LOGGING), ready=r"on port (\d+)") as program:
        for value in (config, bad):
            data = json.dumps(value).encode()
            with socket.create_connection((HOST, program.port), timeout=SECONDS) as connection:
                connection.sendall(struct.pack(">L", len(data)) + data)
                assert connection.recv(1) == b""
        program.type("hello\n")
        program.wait_output("logged")
        assert (tmp_path / "app.log").read_text() == "hello\n"
        assert program.process.stdin is not None
        program.process.stdin.close()
        assert program.wait_clean_end().endswith("Bye\n")


def test_idle_when_the_shell_calls_its_process_then_gets_the_results(tmp_path: Path) -> None:
    """Its ``RPCServer`` is a client that connects, and serves that connection alone."""
    rpc = pytest.importorskip("idlelib.rpc")
    shell = rpc.RPCClient((HOST, 0))
    with shell.listening_sock as listener:
        listener.settimeout(SECONDS)
        port = str(listener.getsockname()[1])
        with running(tmp_path, script(tmp_path, IDLE), port, ready="Connected") as program:
            shell.accept()
            assert shell.remotecall("methods", "add", (2, 3), {}) == 5
            with pytest.raises(LookupError, match="no such thing"):
                shell.remotecall("methods", "fail", (), {})
            shell.close()
            program.wait_clean_end()  # at the end of the connection its `exithook` ends the process
