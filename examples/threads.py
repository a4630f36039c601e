"""A synchronous handler, unchanged, in worker threads: the stdlib's own file server, over HTTP/1.1.

Run it:      python examples/threads.py [PORT [DIRECTORY]]
Talk to it:  curl http://127.0.0.1:PORT/
Stop it:     Ctrl-C; downloads have one more second
"""

import functools
import http.server
import signal
import sys

import trio

import trioserver


class Files(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # with persistent connections
    timeout = 10  # the stdlib's, for each wait for the client: or one that says nothing would keep its thread

    def log_message(self, format: str, *args: object) -> None:
        print(self.client_address[0], format % args)


async def main(port: int, directory: str) -> None:
    handler = functools.partial(Files, directory=directory)
    server = trioserver.ThreadingTCPServer(("127.0.0.1", port), handler, max_threads=50)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with server.running(grace_period=1):
            print(f"Serving {directory} on {trioserver.format_address(server.server_address)}")
            await anext(signals)


if __name__ == "__main__":
    arguments = dict(enumerate(sys.argv))
    trio.run(main, int(arguments.get(1, 0)), arguments.get(2, "."))
