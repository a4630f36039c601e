"""Who is there? Each server in a multicast group answers by itself; so it does to a broadcast.

Run it:      python examples/multicast.py [PORT] [NAME], several times on one port
Talk to it:  socat -t1 - UDP-DATAGRAM:239.255.42.99:PORT,ip-multicast-if=127.0.0.1
             socat -t1 - UDP-DATAGRAM:127.255.255.255:PORT,broadcast
Stop it:     Ctrl-C
"""

import contextlib
import socket
import sys

import trio

import trioserver

GROUP = "239.255.42.99"  # for private use: RFC 2365
INTERFACE = "127.0.0.1"  # loopback; the address of a network card to be heard by others


class WhoIsThere(trioserver.DatagramRequestHandler["Discovery"]):
    async def handle(self) -> None:
        self.wfile.write(f"{self.server.name} is here\n".encode())


class Discovery(trioserver.UDPServer):
    allow_reuse_address = True  # all of them share the port, and each gets what is sent to the group
    name = "somebody"

    async def server_bind(self) -> None:
        await super().server_bind()
        membership = socket.inet_aton(GROUP) + socket.inet_aton(INTERFACE)
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)


async def main(port: int, name: str) -> None:
    # Bound to all addresses, since a socket bound to one gets neither multicast nor broadcast.
    async with Discovery(("", port), WhoIsThere) as server:
        server.name = name
        print(f"In the group {GROUP} as {name}, on {trioserver.format_address(server.server_address)}")
        await server.serve_forever()


if __name__ == "__main__":
    port, name = sys.argv[1:2], sys.argv[2:3]
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(main, int(port[0]) if port else 0, name[0] if name else "somebody")
