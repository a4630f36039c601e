"""Hooks of a fork that come before ours."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .kit import SECONDS

PROGRAM = """
import os, threading, time
servers = []
os.register_at_fork(after_in_child=lambda: [server.server_close() for server in servers])
from trioserver_adapters import socketserver
servers.append(socketserver.ThreadingTCPServer(("127.0.0.1", 0), print))
thread = threading.Thread(target=servers[0].serve_forever)
thread.start()
time.sleep(0.2)
pid = os.fork()
if not pid:
    os._exit(servers[0].fileno() != -1)
print(os.waitpid(pid, 0)[1], flush=True)
servers[0].shutdown()
servers[0].server_close()
"""


def test_server_close_in_a_fork_hook_that_was_registered_first_then_it_knows_of_the_fork() -> None:
    """Hooks in children run in the order of their registration."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=SECONDS)
    assert (done.stdout.strip(), "Error" in done.stderr) == ("0", False), done.stderr


INTERRUPTED = """
import os, signal, socket
from trioserver_adapters import socketserver

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"from a child" if os.getpid() != parent else b"not from one")

parent = os.getpid()
with socketserver.ForkingTCPServer(("127.0.0.1", 0), Handler) as server:
    signal.signal(signal.SIGTERM, lambda *args: print("terminated,", end=" "))
    both = (signal.SIGINT, signal.SIGTERM)
    os.register_at_fork({when}=lambda: [signal.raise_signal(signum) for signum in both])
    client = socket.create_connection(server.server_address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("interrupted,", server.active_children is not None, end=" ")
    print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, client.recv(100).decode())
"""


@pytest.mark.parametrize("when", ["before", "after_in_parent"])
def test_ctrl_c_in_a_fork_hook_then_it_is_raised_after_the_fork_and_the_child_is_known(when: str) -> None:
    """Python throws away what a hook raises. The reply is not cut off either, nor is another signal lost."""
    program = INTERRUPTED.format(when=when)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=SECONDS)
    assert (done.stdout, done.stderr) == ("terminated, interrupted, True True from a child\n", "")
