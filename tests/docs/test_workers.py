"""The page on several processes: its program runs as it stands, and the numbers are those of the code."""

from __future__ import annotations

import inspect
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from harness import receive_exactly

PAGE = Path(__file__).parents[2] / "docs" / "workers.md"
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""

if not TEXT:
    pytest.skip("the pages are not beside the installed package", allow_module_level=True)
if sys.platform == "win32":
    pytest.skip("workers are for POSIX", allow_module_level=True)

PROGRAM = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)[0]


async def test_the_program_echoes_and_reports(tmp_path: Path) -> None:
    """But for the port."""
    program = PROGRAM.replace('("127.0.0.1", 8000)', '("127.0.0.1", 0)')
    assert program != PROGRAM
    path = tmp_path / "program.py"
    path.write_text(program)
    process = await trio.lowlevel.open_process([sys.executable, path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    async with process.stdout:
        output = ""
        while "\n" not in output:
            chunk = await process.stdout.receive_some()
            assert chunk
            output += chunk.decode()
        match = re.match(r"\('127\.0\.0\.1', (\d+)\) \[(\d+), (\d+)\]\n", output)
        assert match is not None, output
        async with await trio.open_tcp_stream("127.0.0.1", int(match[1])) as client:
            await client.send_all(b"hello\n")
            assert await receive_exactly(client, 6) == b"hello\n"
        process.send_signal(signal.SIGTERM)
        async for chunk in process.stdout:
            output += chunk.decode()
        assert await process.wait() == 0
    assert "WorkersReport(accepted=1, finished=1, " in output


def test_the_defaults_that_the_page_has_are_those() -> None:
    """Of the constructor, and of the delays."""
    from trioserver import Workers
    from trioserver._workers.backoff import FIRST_DELAY, LASTED, LONG, LONGEST_DELAY

    parameters = inspect.signature(Workers).parameters
    for name in ("start_timeout", "kill_timeout", "grace_period"):
        assert re.search(rf"`{name}`, {parameters[name].default:g} s", TEXT)
    assert (
        f"after {FIRST_DELAY:g} s, doubling to {LONGEST_DELAY:g} s, if they do not last {LASTED:g} s" in TEXT
    )
    assert f"from {LONG:g} s on, clients go to the other workers" in TEXT
