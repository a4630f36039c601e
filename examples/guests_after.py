"""An old program, a guest book, before and after: on the stdlib's ``socketserver``, or with one line changed.

Run it:      python examples/guests_before.py [PORT]
Run it:      python examples/guests_after.py [PORT]
Talk to it:  echo Ada | socat - TCP:127.0.0.1:PORT
Stop it:     Ctrl-C
"""

import contextlib
import sys
import threading

from trioserver_adapters import socketserver  # isort: skip


class GuestBook(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, Guest)
        self.guests: list[str] = []
        self.lock = threading.Lock()


class Guest(socketserver.StreamRequestHandler):
    server: GuestBook  # pyright: ignore[reportIncompatibleVariableOverride]
    timeout = 10

    def handle(self) -> None:
        for line in self.rfile:
            with self.server.lock:
                self.server.guests.append(line.decode(errors="replace").strip())
                number = len(self.server.guests)
            self.wfile.write(b"You are guest %d\n" % number)


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    with contextlib.suppress(KeyboardInterrupt), GuestBook(("127.0.0.1", port)) as book:
        print(f"Guest book on 127.0.0.1:{book.server_address[1]}", flush=True)
        book.serve_forever()
