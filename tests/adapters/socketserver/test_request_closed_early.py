"""What a request that was closed leaves when it is ended."""

from __future__ import annotations

import os
import select
import socket
import time

from trioserver_adapters import socketserver

from .kit import Flag

ADDRESS = ("127.0.0.1", 0)


def test_request_timeout_when_a_pipe_has_the_number_of_the_request_then_no_copy_of_it_is_left() -> None:
    """Or who reads from the pipe waits for its end for ever."""
    ended: list[bool] = []
    done = Flag()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            number = self.request.fileno()
            reader, writer = os.pipe()
            self.request.close()
            os.dup2(writer, number)
            os.close(writer)
            time.sleep(0.3)  # `request_timeout` strikes meanwhile
            os.close(number)
            ended.append(bool(select.select([reader], [], [], 1)[0]))
            os.close(reader)
            done.set()

    class Server(socketserver.ThreadingTCPServer):
        request_timeout = 0.1

    with Server(ADDRESS, Handler) as server, socket.create_connection(server.server_address):
        server.handle_request()
        done.block()
    assert ended == [True]
