"""A cache that is served in place, by plain functions. It speaks the inline form of Redis's protocol, which
redis-cli does not: that talks to key_value.py.

Run it:      python examples/callbacks.py [PORT]
Talk to it:  socat - TCP:127.0.0.1:PORT, and PING, SET key value, GET key, QUIT
Stop it:     Ctrl-C
"""

import contextlib
import sys

import trio

import trioserver

data: dict[bytes, bytes] = {}


class Client(trioserver.CallbackRequestHandler):
    delimiter = b"\n"
    timeout = 3600

    def data_received(self, line: bytes) -> None:  # called with one whole line, and must not block
        match line.split(None, 2):
            case []:
                pass
            case [command] if command.upper() == b"PING":
                self.write(b"+PONG\r\n")
            case [command, key, value] if command.upper() == b"SET":
                data[key] = value.rstrip(b"\r\n")
                self.write(b"+OK\r\n")
            case [command, key] if command.upper() == b"GET":
                self.write(b"$%d\r\n%b\r\n" % (len(data[key]), data[key]) if key in data else b"$-1\r\n")
            case [command] if command.upper() == b"QUIT":
                self.write(b"+OK\r\n")
                self.close()
            case _:
                self.write(b"-ERR unknown command or wrong arguments\r\n")


async def main(port: int) -> None:
    async with trioserver.TCPServer(("127.0.0.1", port), Client) as server:
        print(f"Caching on {trioserver.format_address(server.server_address)}")
        await server.serve_forever()


if __name__ == "__main__":
    port = sys.argv[1] if len(sys.argv) > 1 else "0"
    if not port.isdecimal() or int(port) > 65535:
        sys.exit(f"PORT must be 0 to 65535, not {port}")
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(main, int(port))
