"""A chat room: shared state, broadcast, and a queue for each member, so that a slow one holds up nobody.

Run it:      python examples/chat.py [PORT]
Talk to it:  socat - TCP:127.0.0.1:PORT    (in two terminals or more)
Stop it:     Ctrl-C; everybody who has a name is told goodbye
"""

import signal
import sys

import trio

import trioserver


class ChatServer(trioserver.TCPServer):
    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Member)
        self.members: dict[trio.MemorySendChannel[bytes], trio.CancelScope] = {}

    def tell_all(self, line: bytes) -> None:
        for queue, scope in self.members.items():
            try:
                queue.send_nowait(line)
            except trio.WouldBlock:  # 100 lines behind: better dropped than left with gaps unawares
                scope.cancel()


class Member(trioserver.StreamRequestHandler["ChatServer"]):
    async def handle(self) -> None:
        await self.wfile.write(b"Your name? ")
        name = (await self.rfile.readline(100)).strip()
        queue, lines = trio.open_memory_channel[bytes](100)
        async with trio.open_nursery() as nursery, queue:
            nursery.start_soon(self.deliver, lines)
            self.server.members[queue] = nursery.cancel_scope
            try:
                self.server.tell_all(b"* %b is here\n" % name)
                while await self.wait_request():  # false when the client leaves, or the server drains
                    self.server.tell_all(b"%b: %b\n" % (name, (await self.rfile.readline()).strip()))
            finally:
                del self.server.members[queue]
                self.server.tell_all(b"* %b has left\n" % name)
            await queue.send(b"* goodbye\n")

    async def deliver(self, lines: trio.MemoryReceiveChannel[bytes]) -> None:  # two could not at once
        async for line in lines:
            await self.wfile.write(line)


async def main(port: int) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with ChatServer(port).running(grace_period=1) as server:
            print(f"Chatting on {trioserver.format_address(server.server_address)}")
            await anext(signals)


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 0)
