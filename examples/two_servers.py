"""Two servers in one trio application, which stops cleanly on Ctrl-C or SIGTERM.

Run it:      python examples/two_servers.py [PORT]
Talk to it:  socat - TCP:127.0.0.1:PORT    (it shouts back)
             curl http://127.0.0.1:OTHER   (it says how the first one is doing)
Stop it:     Ctrl-C. Both stop to accept, running requests get 5 seconds; a second Ctrl-C ends those, too.
"""

import signal
import sys

import trio

import trioserver


class Shout(trioserver.StreamRequestHandler):
    async def handle(self) -> None:
        while await self.wait_request():  # not a plain loop over the lines: so a drain ends it
            await self.wfile.write((await self.rfile.readline()).upper())


class StatusServer(trioserver.TCPServer):
    def __init__(self, observed: trioserver.BaseServer) -> None:
        super().__init__(("127.0.0.1", 0), Status)
        self.observed = observed


class Status(trioserver.StreamRequestHandler[StatusServer]):
    timeout = 10

    async def handle(self) -> None:
        await self.rfile.readuntil(b"\r\n\r\n")
        numbers = self.server.observed.statistics()
        await self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        await self.wfile.write(f"{numbers.active} of {numbers.accepted} requests are running\n".encode())


async def main(port: int) -> None:
    shout = trioserver.TCPServer(("127.0.0.1", port), Shout)
    status = StatusServer(shout)
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            await nursery.start(shout.serve_forever)
            await nursery.start(status.serve_forever)
            print(f"Shouting on {trioserver.format_address(shout.server_address)}")
            print(f"Status on {trioserver.format_address(status.server_address)}")
            await anext(signals)
        shout.request_shutdown(grace_period=5)  # does not wait, so both drain at the same time
        status.request_shutdown(grace_period=5)
    print("Bye")


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 0)
