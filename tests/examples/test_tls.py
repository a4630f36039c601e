"""The examples ``tls_echo`` and ``starttls``, with openssl and with clients that look closer."""

from __future__ import annotations

import signal
import smtplib
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio
import trustme
from harness import receive_exactly

from tests.examples.conftest import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.examples.conftest import Example, RunExample


class Files:
    """The files that an administrator has: the authority's certificate, and the server's with its key."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.ca, self.certificate, self.key = (str(folder / name) for name in ("ca", "certificate", "key"))
        self.authority.cert_pem.write_to_path(self.ca)
        self.renew()

    def renew(self) -> bytes:
        """Write a new certificate, and return it."""
        issued = self.authority.issue_cert("localhost")
        issued.cert_chain_pems[0].write_to_path(self.certificate)
        issued.private_key_pem.write_to_path(self.key)
        return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())

    def context(self) -> ssl.SSLContext:
        """A client's context."""
        return ssl.create_default_context(cafile=self.ca)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """An authority and a first certificate."""
    return Files(tmp_path)


@pytest.mark.parametrize("name", ["tls_echo", "starttls"])
def test_tls_examples_when_the_files_are_not_given_then_say_how_to_run_them(name: str) -> None:
    """And no traceback."""
    command = [sys.executable, f"{EXAMPLES}/{name}.py"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ran.returncode == 1
    assert f"python examples/{name}.py [PORT] CERTIFICATE KEY" in ran.stderr
    assert "Traceback" not in ran.stderr


async def test_tls_echo_when_openssl_sends_lines_then_it_gets_them_back(
    run_example: RunExample, run_client: Callable[..., str], files: Files
) -> None:
    """As its docstring says, one after the other."""
    assert run_client("openssl", "version")  # or it is skipped
    async with run_example("tls_echo", files.certificate, files.key) as example:
        address = f"127.0.0.1:{example.ports[0]}"
        command = ["openssl", "s_client", "-connect", address, "-quiet", "-verify_return_error"]
        pipe = subprocess.PIPE
        process = await trio.lowlevel.open_process(
            [*command, "-no_ign_eof", "-CAfile", files.ca], stdin=pipe, stdout=pipe, stderr=pipe
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        async with process.stdout, process.stderr:
            async with process.stdin:
                for line in (b"one\n", b"two\n"):
                    await process.stdin.send_all(line)
                    assert await receive_exactly(process.stdout, 4) == line
            assert await process.wait() == 0


async def certificate_of(stream: trio.SSLStream[trio.SocketStream]) -> object:
    """The server's certificate."""
    await stream.do_handshake()
    return stream.getpeercert(binary_form=True)


async def wait_for_line(example: Example, line: bytes) -> None:
    """Wait until the example has printed that."""
    assert example.process.stdout is not None
    while line not in example.output:
        example.output += await example.process.stdout.receive_some()


async def test_tls_echo_when_told_to_renew_then_new_connections_get_the_new_certificate(
    run_example: RunExample, files: Files
) -> None:
    """After SIGHUP; those that are there go on, and a broken file changes nothing."""
    async with run_example("tls_echo", files.certificate, files.key) as example:
        old = trio.SSLStream(await example.connect(), files.context(), server_hostname="localhost")
        async with old:
            first = await certificate_of(old)
            renewed = files.renew()
            example.process.send_signal(signal.SIGHUP)
            await wait_for_line(example, b"Renewed\n")
            with open(files.key, "w", encoding="ascii") as key:  # noqa: ASYNC230  a small one
                key.write("not a key")
            example.process.send_signal(signal.SIGHUP)
            await wait_for_line(example, b"Not renewed: ")
            new = trio.SSLStream(await example.connect(), files.context(), server_hostname="localhost")
            async with new:
                assert await certificate_of(new) == renewed != first
                for stream in (old, new):
                    await stream.send_all(b"hello\n")
                    assert await receive_exactly(stream, 6) == b"hello\n"


async def test_starttls_when_openssl_asks_for_it_then_it_goes_on_over_tls(
    run_example: RunExample, run_client: Callable[..., str], files: Files
) -> None:
    """``openssl s_client -starttls smtp``, which verifies the certificate."""
    assert run_client("openssl", "version")  # or it is skipped
    async with run_example("starttls", files.certificate, files.key) as example:
        address = f"127.0.0.1:{example.ports[0]}"
        command = ["openssl", "s_client", "-connect", address, "-starttls", "smtp", "-quiet"]
        done = await trio.run_process(
            [*command, "-verify_return_error", "-CAfile", files.ca],
            stdin=b"NOOP\r\nQUIT\r\n",
            capture_stdout=True,
            capture_stderr=True,
        )
    assert done.stdout.endswith(b"250 TLSv1.3\r\n221 bye\r\n")


async def test_starttls_when_a_mail_client_asks_for_it_then_it_goes_on_over_tls(
    run_example: RunExample, files: Files
) -> None:
    """The stdlib's ``smtplib``: in plain text before, encrypted afterwards, and not twice."""

    def client(port: int) -> list[tuple[int, bytes]]:
        with smtplib.SMTP("localhost", port, local_hostname="client") as mail:
            mail._host = "localhost"  # type: ignore[attr-defined]
            said = [mail.noop()]
            mail.starttls(context=files.context())
            said += [mail.noop(), mail.docmd("STARTTLS")]
            mail.ehlo()
            assert not mail.has_extn("starttls")
            return said

    async with run_example("starttls", files.certificate, files.key) as example:
        said = await trio.to_thread.run_sync(client, example.ports[0])
    assert said == [(250, b"plain text"), (250, b"TLSv1.3"), (502, b"not implemented")]
