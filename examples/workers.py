"""A server for as many processors as there are: each worker is a process, and they share the port.

Run it:      python examples/workers.py [PORT]
Talk to it:  echo 1000003 | socat - TCP:127.0.0.1:PORT
Restart it:  kill -HUP PID-OF-THE-FIRST-LINE. No client is refused; who was connected connects again
Stop it:     Ctrl-C. Running requests get 5 seconds; a second Ctrl-C ends those, too.
"""

import contextlib
import os
import signal
import socket
import sys

import trio

import trioserver


def is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


class Primes(trioserver.StreamRequestHandler):
    async def handle(self) -> None:
        while await self.wait_request():
            line = await self.rfile.readline()
            try:
                number = int(line)
                answer = f"{number} is {'a' if is_prime(number) else 'no'} prime, says {os.getpid()}\n"
            except (ValueError, OverflowError):
                answer = "error: send a whole number of at most 300 digits\n"
            await self.wfile.write(answer.encode())


def make_server(sockets: list[socket.socket]) -> trioserver.TCPServer:  # called in each worker
    return trioserver.TCPServer(None, Primes, sock=sockets, max_requests=1000)


async def main(port: int) -> None:
    async with trioserver.Workers(make_server, ("127.0.0.1", port)).running() as workers:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            print(f"Process {os.getpid()} at {trioserver.format_address(workers.server_address)}", flush=True)
            async for signum in signals:
                if signum != signal.SIGHUP:
                    break
                try:
                    await workers.restart()
                except trioserver.WorkerError as error:
                    print(error, file=sys.stderr)  # and the old ones go on
        print(await workers.shutdown(grace_period=5))


if __name__ == "__main__":  # a worker imports this file for make_server, and must not start workers itself
    port = sys.argv[1] if len(sys.argv) > 1 else "0"
    if not port.isdecimal() or int(port) > 65535:
        sys.exit(f"PORT must be 0 to 65535, not {port}")
    with contextlib.suppress(KeyboardInterrupt):  # the second Ctrl-C
        trio.run(main, int(port))
