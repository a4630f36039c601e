"""An echo server, the smallest there is: it sends back each line.

Run it:      python examples/echo.py [PORT]
Talk to it:  socat - TCP:127.0.0.1:PORT
Stop it:     Ctrl-C
"""

import contextlib
import sys

import trio

import trioserver


class Echo(trioserver.StreamRequestHandler):
    async def handle(self) -> None:
        while await self.wait_request():  # false when the client is done, or the server drains
            await self.wfile.write(await self.rfile.readline())


async def main(port: int) -> None:
    async with trioserver.TCPServer(("127.0.0.1", port), Echo) as server:
        print(f"Echoing on {trioserver.format_address(server.server_address)}")
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 0)
