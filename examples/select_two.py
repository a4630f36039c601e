"""Two servers in a program with a loop of its own: ``select`` says which one has a client.

Run it:      python examples/select_two.py [PORT]
Talk to it:  socat - TCP:127.0.0.1:PORT    (it shouts back, until you say nothing more)
             socat - TCP:127.0.0.1:OTHER   (it says how many lines it shouted)
Stop it:     Ctrl-C; a client that is served has at most 10 more seconds, a second Ctrl-C ends that at once

One client at a time: the loop goes on when it is served. For more at a time there is ``server.start()``.
"""

import contextlib
import select
import sys

import trioserver
from trioserver_adapters.blocking import BlockingServer


class Shout(trioserver.StreamRequestHandler):
    timeout = 10  # or a client that says nothing would stop the program
    lines = 0

    async def handle(self) -> None:
        async for line in self.rfile:
            Shout.lines += 1
            await self.wfile.write(line.upper())


async def status(request: trioserver.RequestStream, client_address: object, server: object) -> None:
    await request.send_all(b"%d lines\n" % Shout.lines)


def main(port: int) -> None:
    shout = BlockingServer(trioserver.TCPServer(("127.0.0.1", port), Shout))
    other = BlockingServer(trioserver.TCPServer(("127.0.0.1", 0), status))
    with shout, other:
        print(f"Shouting on {trioserver.format_address(shout.server_address)}")
        print(f"Status on {trioserver.format_address(other.server_address)}")
        while True:
            ready, _, _ = select.select([shout, other], [], [])
            for server in ready:
                server.handle_request()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
