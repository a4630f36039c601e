"""Programs that speak protocols of their own: DNS by dnslib, DICOM by pynetdicom, Redis by fakeredis."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from .kit import HOST, SECONDS, client, need, running, script, together

if TYPE_CHECKING:
    from pathlib import Path

ZONE = """
$ORIGIN example.test.
www  60 IN A 192.0.2.1
mail 60 IN MX 10 www
big  60 IN TXT "%s" "%s"
"""


def test_dnslib_when_dig_asks_over_both_transports_then_answers(tmp_path: Path) -> None:
    """A UDP and a TCP server in threads of one process; an answer that is cut off comes whole over TCP."""
    need("dnslib")
    (tmp_path / "zone").write_text(ZONE % ("x" * 250, "y" * 250))
    command = ("-m", "dnslib.zoneresolver", "--zone", "zone", "--address", HOST, "--port", "{port}")
    with running(tmp_path, *command, "--tcp", "--udplen", "300") as program:

        def dig(*question: str) -> str:
            where = ("@127.0.0.1", "-p", str(program.port), "+tries=3", "+timeout=5")
            return client("dig", *where, *question)

        assert (
            together(4, lambda number: dig("+short", ("+tcp", "+notcp")[number % 2], "www.example.test"))
            == ["192.0.2.1\n"] * 4
        )
        assert "10 www.example.test." in dig("+short", "mail.example.test", "MX")
        assert "status: NXDOMAIN" in dig("nowhere.example.test")
        assert "(TCP)" in dig("big.example.test", "TXT")
        program.interrupt()
        program.wait_interrupted()


def test_pynetdicom_when_echoed_and_stored_then_its_associations_outlive_the_request(tmp_path: Path) -> None:
    """The handler hands the connection to a thread of its own, and returns; the socket stays open."""
    need("pynetdicom")
    with running(tmp_path, "-m", "pynetdicom", "echoscp", "-ba", HOST, "{port}", "-d") as program:
        command = [sys.executable, "-m", "pynetdicom", "echoscu", HOST, str(program.port), "--repeat", "3"]
        done = together(
            4, lambda _: subprocess.run(command, capture_output=True, check=False, timeout=SECONDS)
        )
        assert [each.returncode for each in done] == [0] * 4, done
        assert program.output.count("Received Echo Request") == 12
        program.interrupt()
        program.wait_clean_end()


FAKEREDIS = """
import threading
from fakeredis import TcpFakeServer
server = TcpFakeServer(("127.0.0.1", 0), server_type="redis")
thread = threading.Thread(target=server.serve_forever)
thread.start()
print("Listening on port", server.server_address[1])
try:
    thread.join()
except KeyboardInterrupt:
    server.shutdown()
    server.server_close()
    thread.join()
    print("Bye")
"""


def test_fakeredis_when_redis_cli_talks_then_keeps_what_it_is_told(tmp_path: Path) -> None:
    """Several clients, each with many commands in one connection; one is idle when it is shut down."""
    need("fakeredis")
    with running(tmp_path, script(tmp_path, FAKEREDIS), ready=r"on port (\d+)") as program:

        def redis(*words: str, input: bytes = b"") -> str:
            return client("redis-cli", "-h", HOST, "-p", str(program.port), *words, input=input)

        together(5, lambda number: redis(input=b"INCR counter\n" * 20 + b"SET key%d %d\n" % (number, number)))
        assert redis("GET", "counter") == "100\n"
        assert redis("MGET", *(f"key{number}" for number in range(5))) == "0\n1\n2\n3\n4\n"
        with socket.create_connection((HOST, program.port), timeout=SECONDS) as idle:
            idle.sendall(b"*1\r\n$4\r\nPING\r\n")
            assert idle.recv(7) == b"+PONG\r\n"
            program.interrupt()
            assert program.wait_clean_end().endswith("Bye\n")
            assert idle.recv(1) == b""
