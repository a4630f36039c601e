"""A DNS server, over UDP and TCP on one port, from one handler.

It needs dnslib: in a clone, ``python3 -m pip --python .venv install dnslib``; the tests' environment has it.

Run it:      python examples/dns.py [PORT]
Talk to it:  dig @127.0.0.1 -p PORT www.example.test, and with +tcp; TXT big.example.test
Stop it:     Ctrl-C
"""

import contextlib
import sys

import trio
from dnslib import RCODE, RR, DNSError, DNSRecord  # type: ignore[import-untyped]

import trioserver

ZONE = RR.fromZone("www.example.test. 60 IN A 192.0.2.1\nwww.example.test. 60 IN AAAA 2001:db8::1")
ZONE += RR.fromZone("\n".join(f'big.example.test. 60 IN TXT "{n:0200}"' for n in range(9)))


def answer(query: bytes) -> DNSRecord:
    question = DNSRecord.parse(query)
    reply = question.reply()
    found = [record for record in ZONE if record.rname == question.q.qname]
    reply.add_answer(*(record for record in found if record.rtype == question.q.qtype))
    reply.header.rcode = RCODE.NOERROR if found else RCODE.NXDOMAIN
    return reply


class DNS(trioserver.BaseRequestHandler):
    async def handle(self) -> None:
        with contextlib.suppress(DNSError):  # what is no query gets no answer
            if isinstance(self.request, trioserver.Datagram):
                reply = answer(self.request.data)
                if len(reply.pack()) > 512:
                    reply = reply.truncate()  # the client will ask again over TCP (RFC 1035)
                await self.request.socket.sendto(reply.pack(), self.client_address)
            else:
                await self.answer_stream(self.request)

    async def answer_stream(self, stream: trioserver.RequestStream) -> None:
        rfile = trioserver.StreamReader(stream)
        while await stream.wait_request(10):
            length = int.from_bytes(await rfile.readexactly(2), "big")
            packet = answer(await rfile.readexactly(length)).pack()
            await stream.send_all(len(packet).to_bytes(2, "big") + packet)


async def main(port: int) -> None:
    async with trioserver.TCPServer(("127.0.0.1", port), DNS, max_requests=1000) as tcp:
        async with trioserver.UDPServer(tcp.server_address, DNS, max_requests=1000).running():
            print(f"Answering UDP and TCP on {trioserver.format_address(tcp.server_address)}")
            await tcp.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 0)
