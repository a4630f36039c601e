"""Protocols of machines and instruments: Modbus by pymodbus, OSC by python-osc, WebSockets."""

from __future__ import annotations

import contextlib
import socket
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from .kit import HOST, SECONDS, certificate, need, running, script, together

if TYPE_CHECKING:
    from pathlib import Path

MODBUS = """
import sys, threading
from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server import sync
store = ModbusSlaveContext(hr=ModbusSequentialDataBlock(0, [17] * 100))
context = ModbusServerContext(slaves=store, single=True)
kind, options = sys.argv[1], {}
if kind == "Tls":
    from ssl import PROTOCOL_TLS_SERVER, SSLContext
    options["sslctx"] = SSLContext(PROTOCOL_TLS_SERVER)
    options["sslctx"].load_cert_chain("cert.pem", "key.pem")
    from pymodbus.transaction import ModbusTlsFramer
    options["framer"] = ModbusTlsFramer
server = getattr(sync, f"Modbus{kind}Server")(context, address=("127.0.0.1", 0), **options)
thread = threading.Thread(target=server.serve_forever)
thread.start()
print("Serving on port", server.server_address[1])
try:
    thread.join()
except KeyboardInterrupt:
    server.shutdown()
    server.server_close()
    thread.join()
    print("Bye")
"""

OSC = """
import os, sys, threading
from pythonosc import dispatcher, osc_server, osc_tcp_server
table = dispatcher.Dispatcher()
table.map("/add", lambda address, *numbers: ("/sum", sum(numbers)))
table.map("/pid", lambda address: ("/pid", os.getpid()))
kind = sys.argv[1]
module = osc_tcp_server if "TCP" in kind else osc_server
with getattr(module, kind)(("127.0.0.1", 0), table) as server:
    print("Serving on port", server.server_address[1])
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
print("Bye")
"""

WEBSOCKETS = """
import threading
from websocket_server import WebsocketServer
def received(client, server, message):
    if message == "all":
        server.send_message_to_all(f"{len(server.clients)} clients")
    elif message == "stop":
        threading.Thread(target=server.shutdown_gracefully).start()
    else:
        server.send_message(client, message.upper())
server = WebsocketServer(host="127.0.0.1", port=0)
server.set_fn_message_received(received)
print("Serving on port", server.port)
server.run_forever()
print("Bye")
"""


@pytest.mark.parametrize("kind", ["Tcp", "Udp", "Tls"])
def test_pymodbus_when_registers_are_read_and_written_then_keeps_them(tmp_path: Path, kind: str) -> None:
    """Its servers of before asyncio: a thread for each client, or datagram; TLS on a wrapped listener."""
    need("pymodbus")
    sync = import_module("pymodbus.client.sync")
    options: dict[str, Any] = {"host": HOST, "timeout": SECONDS}
    if kind == "Tls":
        options["sslctx"] = certificate(tmp_path)
    with running(tmp_path, script(tmp_path, MODBUS), kind, ready=r"on port (\d+)") as program:

        def use(number: int) -> list[int]:
            client = getattr(sync, f"Modbus{kind}Client")(port=program.port, **options)
            try:
                assert client.connect()
                for value in range(10):
                    assert not client.write_register(10 + number, value).isError()
                return list(client.read_holding_registers(10 + number, 2).registers[:1])
            finally:
                client.socket.close()  # which its `close` forgets for UDP
                client.close()

        assert together(5, use) == [[9]] * 5
        program.interrupt()
        assert program.wait_clean_end().endswith("Bye\n")


@pytest.mark.parametrize("kind", ["BlockingOSCUDPServer", "ThreadingOSCUDPServer", "ForkingOSCUDPServer"])
def test_osc_when_messages_come_as_datagrams_then_the_sender_gets_the_answers(
    tmp_path: Path, kind: str
) -> None:
    """In the loop, in threads, in processes: all send by the server's socket; other datagrams are dropped."""
    need("pythonosc")
    udp_client = import_module("pythonosc.udp_client")
    with running(tmp_path, script(tmp_path, OSC), kind, ready=r"on port (\d+)") as program:

        def ask(number: int) -> Any:
            with socket.socket(type=socket.SOCK_DGRAM) as other:
                other.sendto(b"no message", (HOST, program.port))
            with udp_client.SimpleUDPClient(HOST, program.port) as client:
                client.send_message("/add", [number, 10])
                return next(client.get_messages(SECONDS)).params

        assert [[number + 10] for number in range(5)] == together(5, ask)
        program.interrupt()
        assert program.wait_clean_end().endswith("Bye\n")
    if kind.startswith("Forking"):
        assert "os.fork" in program.witnessed


@pytest.mark.parametrize("kind", ["ThreadingOSCTCPServer", "ForkingOSCTCPServer"])
def test_osc_when_messages_come_in_a_connection_then_the_answers_do(tmp_path: Path, kind: str) -> None:
    """Several connections at once, each with several messages."""
    need("pythonosc")
    tcp_client = import_module("pythonosc.tcp_client")
    with running(tmp_path, script(tmp_path, OSC), kind, ready=r"on port (\d+)") as program:

        def ask(number: int) -> Any:
            with tcp_client.SimpleTCPClient(HOST, program.port, timeout=SECONDS) as client:
                messages = client.get_messages()
                answers = []
                for value in range(3):
                    client.send_message("/add", [number, value])
                    answers += next(messages).params
                client.send_message("/pid")
                return answers, next(messages).params[0]

        answers, processes = zip(*together(5, ask), strict=True)
        assert [[number, number + 1, number + 2] for number in range(5)] == list(answers)
        own = program.process.pid
        assert len(set(processes) - {own}) == (5 if kind.startswith("Forking") else 0)
        program.interrupt()
        assert program.wait_clean_end().endswith("Bye\n")


def test_websockets_when_several_clients_talk_then_each_and_all_are_answered(tmp_path: Path) -> None:
    """Connections that are written to from the threads of others as well; a client that stops the server."""
    need("websocket_server", "websocket")
    websocket = import_module("websocket")
    with running(tmp_path, script(tmp_path, WEBSOCKETS), ready=r"on port (\d+)") as program:
        connections = together(
            4, lambda _: websocket.create_connection(f"ws://{HOST}:{program.port}", timeout=SECONDS)
        )
        try:
            for number, connection in enumerate(connections):
                connection.send(f"hello {number}")
                assert connection.recv() == f"HELLO {number}"
            connections[0].send("all")
            assert [connection.recv() for connection in connections] == ["4 clients"] * 4
            connections[1].send("stop")
            for connection in connections:
                with contextlib.suppress(websocket.WebSocketConnectionClosedException):
                    assert connection.recv() == ""
        finally:
            for connection in connections:
                connection.shutdown()
        program.wait_clean_end()
