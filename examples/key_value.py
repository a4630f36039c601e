"""A key-value server that speaks RESP, Redis's protocol: persistent connections, pipelining, limits.

Run it:      python examples/key_value.py [PORT]
Talk to it:  redis-cli -p PORT, or redis-benchmark -p PORT -t ping,set,get -P 16 -q
Stop it:     Ctrl-C
"""

import contextlib
import sys

import trio

import trioserver

data: dict[bytes, bytes] = {}


class Client(trioserver.StreamRequestHandler):
    timeout = 60  # for the rest of a command, and for the client to read its replies

    async def handle(self) -> None:
        with contextlib.suppress(ValueError):  # no RESP, so there is no telling where the next command begins
            while await self.wait_request(3600):
                await self.wfile.write(execute(*await self.read_command()))

    async def read_command(self) -> list[bytes]:
        line = await self.rfile.readline()
        if not line.startswith(b"*"):
            return line.split()  # as people type it
        words, room = list[bytes](), 1_000_000
        for _ in range(int(line[1:])):
            size = int((await self.rfile.readline()).removeprefix(b"$"))
            if size < 0 or (room := room - size - 32) < 0:  # 32: what a word takes beside its bytes
                raise ValueError
            words.append((await self.rfile.readexactly(size + 2))[:-2])
        return words


def execute(command: bytes = b"", *words: bytes) -> bytes:
    match command.upper(), words:
        case b"SET", (key, value):
            data[key] = value
            return b"+OK\r\n"
        case b"GET", (key,):
            return b"$%d\r\n%b\r\n" % (len(data[key]), data[key]) if key in data else b"$-1\r\n"
    others = {b"PING": b"+PONG\r\n", b"CONFIG": b"*2\r\n+save\r\n+\r\n", b"COMMAND": b"*0\r\n"}
    return others.get(command.upper(), b"-ERR unknown command or wrong arguments\r\n")


async def main(port: int) -> None:
    async with trioserver.TCPServer(("127.0.0.1", port), Client) as server:
        print(f"Keeping values on {trioserver.format_address(server.server_address)}")
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 0)
