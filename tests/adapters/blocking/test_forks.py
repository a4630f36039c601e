"""A server belongs to the process that made it; in a forked child another one can be made."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from .kit import run_program

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not hasattr(sys, "abiflags") or sys.platform == "win32", reason="needs fork")

PROLOGUE = """
import multiprocessing, os, socket, sys, threading
import trio, trioserver
from trioserver_adapters.blocking import BlockingServer

async def echo(request, client_address, server):
    async for data in request:
        await request.send_all(data)

def make():
    return BlockingServer(trioserver.TCPServer(("127.0.0.1", 0), echo))

def works(server):
    with socket.create_connection(server.server_address) as client:
        client.sendall(b"hello")
        return client.recv(100) == b"hello"

def serve_one(_=None):
    with make() as server:
        server.start()
        assert works(server)
    return "served"

def in_child(function):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            function()
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
"""

USE_IN_CHILD = """
def use():
    for name, args in {
        "serve_forever": (), "handle_request": (), "start": (), "stop": (), "shutdown": (), "fileno": (),
        "request_shutdown": (), "server_close": (), "__enter__": (), "call": (trio.sleep, 0),
        "__exit__": (None, None, None),
    }.items():
        try:
            getattr(server, name)(*args)
        except trioserver.LifecycleError as error:
            assert "was made in process" in str(error) and "child" in str(error), error
        else:
            raise AssertionError(name)
    serve_one()
"""


@pytest.mark.parametrize("running", [False, True])
def test_fork_when_a_server_of_the_parents_is_used_in_the_child_then_every_method_says_so(
    running: bool,
) -> None:
    """Whether it ran or not; the parent's goes on, and one that is made in the child works."""
    start = "server.start()" if running else ""
    program = f"""{PROLOGUE}{USE_IN_CHILD}
server = make()
{start}
in_child(use)
assert not {running} or works(server)
server.server_close()
print("end")
"""
    # From 3.12 on Python warns of forks beside threads, and there is one when it runs.
    status, output, errors = run_program(program, "-W", "ignore::DeprecationWarning")
    assert (status, output, errors) == (0, "end\n", "")


def test_fork_when_the_child_exits_by_itself_then_the_parents_server_is_left_alone() -> None:
    """Neither what runs at the interpreter's exit nor a collection touches it, or waits for its thread."""
    program = f"""{PROLOGUE}
server = make()
server.start()
pid = os.fork()
if pid == 0:
    del server
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
assert works(server)
server.server_close()
print("end")
"""
    status, output, errors = run_program(program, "-W", "ignore::DeprecationWarning")
    assert (status, output, errors) == (0, "end\n", "")


def test_fork_when_one_is_forgotten_in_the_child_then_the_child_exits_in_order() -> None:
    """As the parent would."""
    program = f"""{PROLOGUE}
pid = os.fork()
if pid == 0:
    server = make()
    server.start()
    assert works(server)
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
print("end")
"""
    status, output, errors = run_program(program)
    assert (status, output, errors) == (0, "end\n", "")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing_when_a_worker_makes_one_then_it_works_and_the_worker_ends(
    method: str, tmp_path: Path
) -> None:
    """In processes and in a pool; also one that the worker forgets to close."""
    module = tmp_path / "workers.py"
    module.write_text(
        PROLOGUE
        + """
def forget():
    global server
    server = make()
    server.start()
    assert works(server)
"""
    )
    program = f"""
import multiprocessing, sys
sys.path.insert(0, {str(tmp_path)!r})
import workers
if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    for target in (workers.serve_one, workers.forget):
        process = context.Process(target=target)
        process.start()
        process.join(20)
        assert process.exitcode == 0, process.exitcode
    with context.Pool(2) as pool:
        print(pool.map(workers.serve_one, range(4), chunksize=1))
        pool.close()
        pool.join()
"""
    status, output, errors = run_program(program, "-W", "ignore::DeprecationWarning")
    assert (status, output, errors) == (0, f"{['served'] * 4}\n", "")
