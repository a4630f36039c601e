"""STARTTLS: a mail server's greeting, in plain text at first and then, if the client asks for it, over TLS.

Run it:      python examples/starttls.py [PORT] CERTIFICATE KEY      (two PEM files)
Talk to it:  openssl s_client -connect 127.0.0.1:PORT -starttls smtp -quiet -CAfile CA.pem, then NOOP, QUIT
Stop it:     Ctrl-C
"""

import contextlib
import ssl
import sys

import trio

import trioserver


class Mail(trioserver.StreamRequestHandler["MailServer"]):
    timeout = 300.0  # for each command, as RFC 5321 section 4.5.3.2.7 has it

    async def handle(self) -> None:
        await self.wfile.write(b"220 mail.example ready\r\n")
        async for line in self.rfile:
            command = line.strip().upper()
            secure = self.request.ssl_object is not None
            if command.startswith(b"EHLO"):
                reply = b"250 mail.example\r\n" if secure else b"250-mail.example\r\n250 STARTTLS\r\n"
                await self.wfile.write(reply)
            elif command == b"STARTTLS" and not secure:
                await self.wfile.write(b"220 go ahead\r\n")
                await self.starttls(self.server.certificate)  # rfile and wfile go on, encrypted
            elif command == b"NOOP":
                version = self.request.ssl_object.version() if self.request.ssl_object else None
                await self.wfile.write(f"250 {version or 'plain text'}\r\n".encode())
            elif command == b"QUIT":
                await self.wfile.write(b"221 bye\r\n")
                return
            else:
                await self.wfile.write(b"502 not implemented\r\n")


class MailServer(trioserver.TCPServer):
    def __init__(self, port: int, certificate: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", port), Mail)
        self.certificate = certificate


async def main(port: int, *files: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*files)
    async with MailServer(port, context) as server:
        print(f"Greeting on {trioserver.format_address(server.server_address)}")
        await server.serve_forever()


if __name__ == "__main__":
    *port, certificate, key = sys.argv[1:] if len(sys.argv) in (3, 4) else sys.exit(__doc__)
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(main, int(port[0]) if port else 0, certificate, key)
