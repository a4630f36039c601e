"""A script without a trace of trio, but for its handlers: they are asynchronous, a key-value store over TCP.

Run it:      python examples/blocking.py [PORT]
Talk to it:  socat - TCP:127.0.0.1:PORT    (and type: set colour blue, get colour)
Stop it:     Ctrl-C; requests that run have 5 more seconds, a second Ctrl-C ends those, too
"""

import contextlib
import sys

import trioserver
from trioserver_adapters.blocking import BlockingServer

store: dict[bytes, bytes] = {}  # needs no lock: all handlers run in one thread


class KeyValue(trioserver.StreamRequestHandler):
    timeout = 60  # seconds that a client may say nothing

    async def handle(self) -> None:
        while await self.wait_request():
            match (await self.rfile.readline()).split():
                case [b"set", key, value]:
                    store[key] = value
                    await self.wfile.write(b"ok\n")
                case [b"get", key]:
                    await self.wfile.write(store.get(key, b"") + b"\n")
                case _:
                    await self.wfile.write(b"what?\n")


async def count() -> int:
    return len(store)


def main(port: int) -> None:
    native = trioserver.TCPServer(("127.0.0.1", port), KeyValue, max_requests=1000)
    with BlockingServer(native, grace_period=5) as server:
        print(f"Serving on {trioserver.format_address(server.server_address)}")
        try:
            server.serve_forever()
        finally:
            print(f"Bye, with {server.call(count)} keys")  # in that thread


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
