"""The kernel may hand a signal to any thread: the one that serves has to notice, as the stdlib's does."""

import subprocess
import sys

import pytest

PROGRAM = """
import signal, sys, threading, time

if sys.argv[1] == "blocking":
    import trio, trioserver
    from trioserver_adapters.blocking import BlockingServer

    async def handler(request, client_address, server):
        pass

    server = BlockingServer(trioserver.TCPServer(("127.0.0.1", 0), handler))
elif sys.argv[1] == "stdlib":
    import socketserver
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), socketserver.StreamRequestHandler)
else:
    from trioserver_adapters import socketserver
    server = getattr(socketserver, sys.argv[1])(("127.0.0.1", 0), socketserver.StreamRequestHandler)

def interrupt():
    time.sleep(0.3)
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    time.sleep(60)  # stays: the end of a thread could wake the other one

threading.Thread(target=interrupt, daemon=True).start()
try:
    server.serve_forever()
except KeyboardInterrupt:
    print("KeyboardInterrupt")
server.server_close()
"""

NAMES = ["stdlib", "TCPServer", "ThreadingTCPServer", "ForkingTCPServer", "blocking"]


@pytest.mark.parametrize("name", NAMES)
def test_ctrl_c_when_the_kernel_chose_another_thread_then_serve_forever_is_interrupted(name: str) -> None:
    """A wait without a timeout is not ended by it, and an idle server had to wait for its next client."""
    program = [sys.executable, "-c", PROGRAM, name]
    result = subprocess.run(program, capture_output=True, text=True, timeout=10, check=False)
    assert (result.returncode, result.stdout) == (0, "KeyboardInterrupt\n")
