"""The example ``threads``, with curl and with a client that stays."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import trio
from harness import receive_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.examples.conftest import RunExample


async def test_threads_when_curl_asks_for_files_then_gets_them(
    run_example: RunExample, run_client: Callable[..., str], tmp_path: Path
) -> None:
    """The stdlib's handler, on one persistent connection; a large file comes whole."""
    (tmp_path / "small").write_text("hello")
    (tmp_path / "large").write_text("x" * 3_000_000)
    async with run_example("threads", "0", str(tmp_path)) as example:
        url = f"http://127.0.0.1:{example.ports[0]}"
        said = "%{num_connects} %{size_download}\n"
        client = partial(run_client, "curl", "-sS", "-w", said, "-o", "/dev/null")
        answer = await trio.to_thread.run_sync(client, f"{url}/small", "-o", "/dev/null", f"{url}/large")
        assert answer == "1 5\n0 3000000\n"


async def test_threads_when_a_client_stays_then_the_end_takes_the_grace_period_and_no_longer(
    run_example: RunExample, tmp_path: Path
) -> None:
    """A thread that waits for a client does not hold up the end of the program."""
    async with run_example("threads", "0", str(tmp_path)) as example, await example.connect() as client:
        await client.send_all(b"GET / HTTP/1.1\r\n")
        began = time.monotonic()
        example.interrupt()
        assert await receive_all(client) == b""
        assert 0.9 < time.monotonic() - began < 3
