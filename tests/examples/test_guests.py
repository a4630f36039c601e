"""The examples ``guests_before`` and ``guests_after``: one program, on the stdlib's module and on ours."""

from __future__ import annotations

import difflib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from harness import receive_all, receive_exactly

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.examples.conftest import RunExample

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def test_guests_when_compared_then_one_line_differs() -> None:
    """The import."""
    before, after = (
        (EXAMPLES / f"guests_{which}.py").read_text().splitlines() for which in ("before", "after")
    )
    changed = [line for line in difflib.ndiff(before, after) if line[0] in "-+"]
    assert [line.split("#")[0].rstrip() for line in changed] == [
        "- import socketserver",
        "+ from trioserver_adapters import socketserver",
    ]


@pytest.mark.parametrize("which", ["before", "after"])
async def test_guests_when_they_come_then_are_numbered_until_ctrl_c(
    run_example: RunExample, run_client: Callable[..., str], which: str
) -> None:
    """Both programs do the same, with a client that comes and goes and one that stays."""
    async with run_example(f"guests_{which}") as example:
        async with await example.connect() as first:
            await first.send_all(b"Ada\n")
            assert await receive_exactly(first, 16) == b"You are guest 1\n"
            second = partial(run_client, "socat", "-", f"TCP:127.0.0.1:{example.ports[0]}", input=b"Bob\n")
            assert await trio.to_thread.run_sync(second) == "You are guest 2\n"
            example.interrupt()
            assert await receive_all(first) == b""
