"""A CPU-bound handler that knows nothing of trio, unchanged: each request in a process of its own.

Run it:      python examples/processes.py [PORT]
Talk to it:  echo 1000003 | socat - TCP:127.0.0.1:PORT
Stop it:     Ctrl-C
"""

import contextlib
import socketserver
import sys

import trio

import trioserver


def is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


class Primes(socketserver.StreamRequestHandler):
    """The stdlib's: it blocks while it reads, and computes as long as it likes."""

    def handle(self) -> None:
        for line in self.rfile:
            number = int(line)  # what is no number is a traceback in the log, and the end of the connection
            self.wfile.write(f"{number} is {'a' if is_prime(number) else 'no'} prime\n".encode())


class PrimeServer(trioserver.ForkingTCPServer):
    max_children = 8  # the other clients wait in the kernel
    request_timeout = 60.0  # then the process is terminated, and killed if that does not help
    finish_timeout = 1.0


async def main(port: int) -> None:
    async with PrimeServer(("127.0.0.1", port), Primes) as server:
        print(f"Asking for primes at {trioserver.format_address(server.server_address)}")
        await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 0)
