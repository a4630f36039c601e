"""Programs that serve files: uploadserver, RangeHTTPServer, WsgiDAV, Radicale."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

import pytest

from .kit import HOST, SECONDS, certificate, curl, get, need, running, together

if TYPE_CHECKING:
    from pathlib import Path

HTTP_READY = r"Serving HTTP.* port (\d+) "


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a file, and a folder to serve."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "file.txt").write_bytes(b"0123456789" * 10_000)
    return tmp_path


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_uploadserver_when_files_are_uploaded_at_once_then_it_has_them(folder: Path, tls: bool) -> None:
    """A form with a file from each of several curls, over a listener that it wraps in ``server_bind``."""
    need("uploadserver")
    options = ["--directory", "files", "--bind", HOST]
    certificate(folder)
    if tls:
        (folder / "both.pem").write_bytes(
            (folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes()
        )
        options += ["--server-certificate", "both.pem"]
    with running(folder, "-m", "uploadserver", *options, "0", ready=r"Serving HTTP.* port (\d+) ") as program:
        url = f"{'https' if tls else 'http'}://{HOST}:{program.port}"
        trust = ("--cacert", str(folder / "ca.pem"))

        def upload(number: int) -> None:
            (folder / f"{number}.bin").write_bytes(bytes([number]) * 200_000)
            curl(*trust, "-F", f"files=@{folder}/{number}.bin", f"{url}/upload")

        together(5, upload)
        for number in range(5):
            assert (folder / "files" / f"{number}.bin").read_bytes() == bytes([number]) * 200_000
        assert len(curl(*trust, f"{url}/file.txt")) == 100_000
        program.interrupt()
        assert program.wait_clean_end().endswith("\nKeyboard interrupt received, exiting.\n")


def test_rangehttpserver_when_parts_are_asked_for_then_sends_these(folder: Path) -> None:
    """Several curls, each with another part; one that is no part of it."""
    need("RangeHTTPServer")
    with running(folder, "-m", "RangeHTTPServer", "--bind", HOST, "0", ready=HTTP_READY) as program:
        url = f"{program.url}/files/file.txt"
        parts = together(5, lambda number: curl("-r", f"{number}-{number + 3}", url))
        assert parts == ["0123", "1234", "2345", "3456", "4567"]
        assert len(curl(url)) == 100_000
        no_part = ("--no-fail", "-o", "/dev/null", "-w", "%{http_code}", "-r", "200000-", url)
        assert curl(*no_part) == "416"
        program.interrupt()
        assert program.wait_clean_end().endswith("\nKeyboard interrupt received, exiting.\n")


def test_wsgidav_when_used_as_a_drive_then_files_come_and_go(folder: Path) -> None:
    """Its own server, ``ext-wsgiutils``, with threads: make, list, copy, move, delete."""
    need("wsgidav")
    options = ("--server", "ext-wsgiutils", "--root", "files", "--auth", "anonymous", "--no-config")
    command = ("-m", "wsgidav.server.server_cli", "--host", HOST, "--port", "{port}", *options)
    with running(folder, *command, ready="Serving at 127") as program:
        url, files = program.url, folder / "files"
        together(5, lambda number: curl("-X", "MKCOL", f"{url}/{number}"))
        together(5, lambda n: curl("-X", "COPY", "-H", f"Destination: {url}/{n}/copy", f"{url}/file.txt"))
        curl("-X", "MOVE", "-H", f"Destination: {url}/0/moved", f"{url}/0/copy", "--next", f"{url}/0/moved")
        curl("-X", "DELETE", f"{url}/1")
        listing = curl("-X", "PROPFIND", "-H", "Depth: infinity", url)
        assert all(
            f"<ns0:href>/{name}</ns0:href>" in listing for name in ("0/moved", "2/copy", "3/copy", "4/copy")
        )
        assert sorted(path.name for path in files.iterdir()) == ["0", "2", "3", "4", "file.txt"]
        assert len(get(f"{url}/4/copy")) == 100_000
        program.interrupt()
        assert "Caught Ctrl-C" in program.wait_clean_end()


EVENT = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//EN
BEGIN:VEVENT
UID:{0}
DTSTAMP:20200101T000000Z
DTSTART:20200101T{0:02}0000Z
SUMMARY:Event {0}
END:VEVENT
END:VCALENDAR
"""


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_radicale_when_several_calendars_are_kept_then_keeps_them(folder: Path, tls: bool) -> None:
    """A loop of its own with ``select`` over its servers, at most two connections, TLS by its own means."""
    need("radicale")
    certificate(folder)
    options = [
        "--storage-filesystem-folder",
        "storage",
        "--auth-type",
        "none",
        "--server-max-connections",
        "2",
    ]
    if tls:
        options += ["--server-ssl", "--server-certificate", "cert.pem", "--server-key", "key.pem"]
    command = ("-m", "radicale", "--config", "", "--server-hosts", f"{HOST}:{{port}}", *options)
    with running(folder, *command, ready="Radicale server ready") as program:
        url = f"{'https' if tls else 'http'}://{HOST}:{program.port}/user/calendar"
        trust = ("--cacert", str(folder / "ca.pem"), "-u", "user:password")
        curl(*trust, "-X", "MKCALENDAR", f"{url}/")

        def put(number: int) -> None:
            file = folder / f"{number}.ics"
            file.write_text(EVENT.format(number).replace("\n", "\r\n"), newline="")
            curl(*trust, "-T", str(file), f"{url}/{number}.ics")

        together(6, put)
        listing = curl(*trust, "-X", "PROPFIND", "-H", "Depth: 1", f"{url}/")
        assert all(f"/user/calendar/{number}.ics" in listing for number in range(6))
        assert "SUMMARY:Event 3" in curl(*trust, f"{url}/3.ics")
        program.interrupt(signal.SIGTERM)
        assert "Stopping Radicale" in program.wait_clean_end()


def test_radicale_when_a_client_is_silent_then_drops_it_in_its_time(folder: Path) -> None:
    """Its ``timeout`` is that of the accepted sockets; at its limit others wait until then."""
    need("radicale")
    options = ("--auth-type", "none", "--server-timeout", "1", "--server-max-connections", "1")
    command = ("-m", "radicale", "--config", "", "--server-hosts", f"{HOST}:{{port}}", *options)
    with running(folder, *command, "--storage-filesystem-folder", "storage", ready="server ready") as program:
        with socket.create_connection((HOST, program.port), timeout=SECONDS) as silent:
            assert b"Radicale" in get(f"{program.url}/.web/")
            assert silent.recv(1) == b""
        program.interrupt()
        assert "Client timed out" in program.wait_end()
