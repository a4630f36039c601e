"""A UDP echo server: it sends back each datagram, without a task for any of them.

Run it:      python examples/udp_echo.py [PORT]
Talk to it:  socat - UDP:127.0.0.1:PORT
Stop it:     Ctrl-C
"""

import contextlib
import sys
from typing import Any

import trio

import trioserver


# A plain function is called in place: it must not block. Make it an ``async def`` that awaits
# ``request.socket.sendto(...)``, and it may wait for whatever it likes, in a task of its own.
def echo(request: trioserver.Datagram, client_address: Any, server: trioserver.UDPServer) -> None:
    request.socket.sendto_nowait(request.data, client_address)


async def main(port: int) -> None:
    async with trioserver.UDPServer(("127.0.0.1", port), echo) as server:
        print(f"Echoing on {trioserver.format_address(server.server_address)}")
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 0)
