"""TLS servers and the clients that people have: openssl, curl, the stdlib's ``ssl``."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
from harness import Echo, wait_until

import trioserver
from trioserver._transports import tls

from .kit import NAME

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from .kit import Certificates

ANY_PORT = ("127.0.0.1", 0)


def require(program: str) -> None:
    """Skip where a program is not installed; fail with TRIOSERVER_REQUIRE_CLIENTS=1 in the environment."""
    if shutil.which(program) is None:
        if os.environ.get("TRIOSERVER_REQUIRE_CLIENTS") == "1":
            pytest.fail(f"{program} is not installed, and TRIOSERVER_REQUIRE_CLIENTS=1 asks for it")
        pytest.skip(f"{program} is not installed")


async def run(*command: str, input: bytes = b"") -> tuple[bytes, str]:
    """What a program prints, on stdout and stderr; its exit code has to be 0."""
    require(command[0])
    done = await trio.run_process(command, stdin=input, capture_stdout=True, capture_stderr=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout, done.stderr.decode()


def s_client(server: trioserver.StreamServer, ca: Path, *options: str) -> tuple[str, ...]:
    """The command for ``openssl s_client``, which verifies the certificate and prints nothing else."""
    host, port = server.server_address[:2]
    verify = ("-CAfile", str(ca), "-verify_return_error", "-verify_hostname", NAME)
    return ("openssl", "s_client", "-connect", f"{host}:{port}", "-quiet", *verify, *options)


class EchoOnce(trioserver.StreamRequestHandler):
    """Sends back one line."""

    async def handle(self) -> None:
        await self.wfile.write(await self.rfile.readline())


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_openssl_when_it_connects_then_lines_are_echoed(
    io_path: str, certificates: Certificates, server_context: ssl.SSLContext, tmp_path: Path, version: str
) -> None:
    """And our ``close_notify`` ends it."""
    ca, _, _ = certificates.write(tmp_path)
    async with trioserver.TCPServer(ANY_PORT, EchoOnce, ssl_context=server_context).running(
        grace_period=5
    ) as server:
        said, errors = await run(*s_client(server, ca, version), input=b"hello\n")
    assert said == b"hello\n"
    assert "unexpected eof" not in errors
    assert server.statistics().finished == 1


async def test_curl_when_it_asks_then_it_gets_a_large_reply(
    io_path: str, certificates: Certificates, server_context: ssl.SSLContext, tmp_path: Path
) -> None:
    """``curl --cacert`` verifies the server, and sees the end of a reply that only its end delimits."""
    ca, _, _ = certificates.write(tmp_path)
    body = bytes(range(256)) * 20_000

    class Web(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            while (await self.rfile.readline()).strip():
                pass
            await self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + body)

    server = trioserver.TCPServer(ANY_PORT, Web, ssl_context=server_context)
    async with server.running(grace_period=5):
        port = server.server_address[1]
        said, _ = await run("curl", "-sS", "--cacert", str(ca), f"https://localhost:{port}/")
    assert said == body


async def test_stdlib_client_in_a_thread_when_it_unwraps_then_both_ends_are_clean(
    io_path: str, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    """A blocking ``SSLSocket`` that does not allow ragged ends and sends ``close_notify`` itself."""

    def client(address: Any) -> bytes:
        with socket.create_connection(address, timeout=10) as plain:
            wrap = client_context.wrap_socket
            with wrap(plain, server_hostname=NAME, suppress_ragged_eofs=False) as sock:
                sock.sendall(b"x" * 300_000 + b"\n")
                got = b""
                while len(got) < 300_001:
                    got += sock.recv(65536)
                sock.unwrap().close()  # waits for the server's close_notify
                return got

    class Handler(Echo):
        max_line_bytes = 1_000_000

    server = trioserver.TCPServer(ANY_PORT, Handler, ssl_context=server_context, suppress_ragged_eofs=False)
    async with server.running(grace_period=5):
        got = await trio.to_thread.run_sync(partial(client, server.server_address))
        await wait_until(lambda: not server.requests)
    assert got == b"x" * 300_000 + b"\n"
    assert server.statistics().finished == 1


class KeyUpdates:
    """``openssl s_client``, which asks for new keys when it reads a K at the beginning of its input."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process

    async def ask(self) -> None:
        """Ask for new keys once, and wait until it has done so."""
        assert self.process.stdin is not None
        assert self.process.stderr is not None
        await self.process.stdin.send_all(b"K\n")
        said = b""
        while b"KEYUPDATE" not in said:
            chunk = await self.process.stderr.receive_some()
            assert chunk, said
            said += chunk


async def test_openssl_when_it_asks_for_new_keys_then_it_gets_them(
    io_path: str, certificates: Certificates, server_context: ssl.SSLContext, tmp_path: Path
) -> None:
    """The answer goes out when it is read, and the connection goes on under the new keys."""
    ca, _, _ = certificates.write(tmp_path)
    require("openssl")
    async with trioserver.TCPServer(ANY_PORT, Echo, ssl_context=server_context).running() as server:
        command = [part for part in s_client(server, ca, "-tls1_3") if part != "-quiet"]
        async with trio.open_nursery() as nursery:
            process = await nursery.start(
                partial(
                    trio.run_process,
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    check=False,
                )
            )
            async with process.stdin, process.stdout, process.stderr:
                client = KeyUpdates(process)
                for number in range(3):
                    await client.ask()
                    await process.stdin.send_all(b"line %d\n" % number)
                    said = b""
                    while b"line %d\n" % number not in said:
                        chunk = await process.stdout.receive_some()
                        assert chunk
                        said += chunk
            nursery.cancel_scope.cancel()


async def test_p9_a_client_that_asks_for_new_keys_and_does_not_read_is_cut_off(
    io_path: str,
    certificates: Certificates,
    server_context: ssl.SSLContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OpenSSL answers by itself each time, and nothing else bounds how much of that is kept."""
    ca, _, _ = certificates.write(tmp_path)
    require("openssl")
    monkeypatch.setattr(tls, "ANSWER_BYTES", 100)
    errors: list[BaseException | None] = []

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        # What is written from here on finds no room, as if the client did not read.
        def no_room(data: Any) -> int:
            raise BlockingIOError

        monkeypatch.setattr(type(request._tls.inner), "send_nowait", staticmethod(no_room))  # type: ignore[attr-defined]
        await request.receive_some()

    server = trioserver.TCPServer(ANY_PORT, handler, ssl_context=server_context)
    server.add_observer(
        lambda event: errors.append(event.error) if isinstance(event, trioserver.RequestEnded) else None
    )
    async with server.running():
        command = [part for part in s_client(server, ca, "-tls1_3") if part != "-quiet"]
        async with trio.open_nursery() as nursery:
            process = await nursery.start(
                partial(
                    trio.run_process,
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    check=False,
                )
            )
            async with process.stdin, process.stderr:
                await wait_until(
                    lambda: server.requests and server.requests[0].state is trioserver.RequestState.RUNNING
                )
                client = KeyUpdates(process)
                with contextlib.suppress(AssertionError, trio.BrokenResourceError):  # until it is cut off
                    while not errors:
                        await client.ask()
                await wait_until(lambda: errors)
            nursery.cancel_scope.cancel()
    assert isinstance(errors[0], trio.BrokenResourceError)
    assert "does not read them" in str(errors[0])
