"""An echo server over TLS, whose certificate can be renewed without a restart.

Run it:      python examples/tls_echo.py [PORT] CERTIFICATE KEY      (two PEM files)
Talk to it:  openssl s_client -connect 127.0.0.1:PORT -quiet -CAfile CA.pem
Renew it:    replace the files, then kill -HUP PID: new connections get the new certificate
Stop it:     Ctrl-C
"""

import contextlib
import os
import signal
import ssl
import sys

import trio

import trioserver


class Echo(trioserver.StreamRequestHandler):
    async def handle(self) -> None:
        while await self.wait_request(60):
            await self.wfile.write(await self.rfile.readline())


def load(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


async def main(port: int, certificate: str, key: str) -> None:
    context = load(certificate, key)
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        async with trioserver.TCPServer(("127.0.0.1", port), Echo, ssl_context=context).running() as server:
            address = trioserver.format_address(server.server_address)
            print(f"Process {os.getpid()} echoes over TLS on {address}")
            async for _ in signals:
                try:
                    server.ssl_context = load(certificate, key)
                except OSError as error:  # what ssl raises, too: keep the one that works
                    print(f"Not renewed: {error}")
                else:
                    print("Renewed")


if __name__ == "__main__":
    *port, certificate, key = sys.argv[1:] if len(sys.argv) in (3, 4) else sys.exit(__doc__)
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(main, int(port[0]) if port else 0, certificate, key)
