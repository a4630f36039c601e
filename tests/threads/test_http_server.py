"""A real synchronous handler, ``http.server.BaseHTTPRequestHandler``, with a real client."""

from __future__ import annotations

import http.client
import http.server
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import trio

import trioserver

from ..tls.kit import Certificates

if TYPE_CHECKING:
    from pathlib import Path


class Hello(http.server.BaseHTTPRequestHandler):
    """Answers with the path, over persistent connections."""

    protocol_version = "HTTP/1.1"
    timeout = 5

    def do_GET(self) -> None:
        """The name is the stdlib's."""
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


async def test_http_server_when_served_by_threads_then_answers_on_persistent_connections() -> None:
    """Twenty clients of the stdlib's with ten requests each."""

    def client(port: int) -> list[bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        replies = []
        for number in range(10):
            connection.request("GET", f"/{number}")
            replies.append(connection.getresponse().read())
        connection.close()
        return replies

    async with trioserver.ThreadingTCPServer(("127.0.0.1", 0), Hello).running() as server:
        port = server.server_address[1]

        async def one() -> None:
            assert await trio.to_thread.run_sync(client, port) == [b"/%d" % number for number in range(10)]

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(one)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_http_server_when_curl_asks_then_answers(scheme: str, tmp_path: Path) -> None:
    """One connection for two requests, with TLS too."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    server = trioserver.ThreadingTCPServer(("127.0.0.1", 0), Hello)
    options = ["-sS", "-w", "%{num_connects}\n"]
    if scheme == "https":
        certificates = Certificates()
        server.ssl_context = certificates.shared_server_context()
        options += ["--cacert", str(certificates.write(tmp_path)[0])]
    async with server.running():
        url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
        command = ["curl", *options, f"{url}/a", f"{url}/b"]
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == (b"/a1\n/b0\n", b"", 0)
    assert isinstance(done, subprocess.CompletedProcess)
