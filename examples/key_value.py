"""A key-value server that speaks RESP, Redis's protocol: persistent connections, pipelining, limits.

Run it:      python examples/key_value.py [PORT]
Talk to it:  redis-cli -p PORT
             redis-benchmark -p PORT -t ping,set,get -P 16 -q
Stop it:     Ctrl-C
"""

import contextlib
import fnmatch
import sys
from collections.abc import Callable

import trio

import trioserver

MAX_COMMAND_BYTES, MAX_KEYS = 1_000_000, 100_000
Reply = bytes | list[bytes] | str  # a str is sent as it is
data: dict[bytes, bytes] = {}


def store(key: bytes, value: bytes, reply: str = "+OK") -> Reply:
    if key not in data and len(data) == MAX_KEYS:
        return "-OOM too many keys"
    data[key] = value
    return reply


def increment(key: bytes) -> Reply:
    number = int(data.get(key, b"0")) + 1
    return store(key, b"%d" % number, f":{number}")


COMMANDS: dict[bytes, Callable[..., Reply]] = {
    b"PING": lambda text="+PONG": text,
    b"ECHO": lambda text: text,
    b"SET": lambda key, value: store(key, value),
    b"GET": lambda key: data.get(key, "$-1"),
    b"DEL": lambda *keys: f":{sum(data.pop(key, None) is not None for key in keys)}",
    b"EXISTS": lambda *keys: f":{sum(key in data for key in keys)}",
    b"INCR": increment,
    b"KEYS": lambda pattern: fnmatch.filter(data, pattern),
    b"INFO": lambda *sections: b"keys:%d\r\n" % len(data),
    b"COMMAND": lambda *words: [],
    b"CONFIG": lambda get, name: [name, b""],
    b"QUIT": lambda: "+OK",
}


def encode(reply: Reply) -> bytes:
    if isinstance(reply, list):
        return b"*%d\r\n%b" % (len(reply), b"".join(map(encode, reply)))
    if isinstance(reply, bytes):
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    return reply.encode() + b"\r\n"


class Client(trioserver.StreamRequestHandler):
    timeout = 60  # for the rest of a command, and for the client to read its replies

    async def handle(self) -> None:
        while await self.wait_request(3600):
            try:
                words = await self.read_command()
            except (ValueError, trioserver.LimitExceeded):
                await self.wfile.write(b"-ERR Protocol error\r\n")
                return
            try:
                reply = COMMANDS[words[0].upper()](*words[1:])
            except (LookupError, TypeError, ValueError):
                reply = f"-ERR unknown command or wrong arguments: {b' '.join(words)[:99]!r}"
            await self.wfile.write(encode(reply))
            if [word.upper() for word in words] == [b"QUIT"]:
                return

    async def read_command(self) -> list[bytes]:
        line = await self.rfile.readline()
        if not line.startswith(b"*"):
            return line.split()  # as people type it
        words: list[bytes] = []
        room = MAX_COMMAND_BYTES
        for _ in range(int(line[1:])):
            size = int((await self.rfile.readline()).removeprefix(b"$"))
            room -= size + 32  # what a word takes in memory beside its bytes
            if size < 0 or room < 0:
                raise ValueError("a word of an impossible size, or too many words")
            words.append((await self.rfile.readexactly(size + 2))[:-2])
        return words


async def main(port: int) -> None:
    async with trioserver.TCPServer(("127.0.0.1", port), Client, max_requests=1000) as server:
        print("Keeping values on {}:{}".format(*server.server_address))
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 0)
