"""The example ``not_a_socket``, with a database as its client."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from pathlib import Path

    from tests.examples.conftest import RunExample


def ask(file: Path, sql: str, *values: object) -> list[tuple[object, ...]]:
    """Run one statement."""
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        return database.execute(sql, values).fetchall()


async def wait_results(file: Path, count: int) -> list[tuple[object, ...]]:
    """The rows, once so many of them have a result."""
    with trio.fail_after(10):
        while True:
            rows = ask(file, "SELECT text, result FROM jobs WHERE result IS NOT NULL ORDER BY id")
            if len(rows) >= count:
                return rows
            await trio.sleep(0.02)  # a database tells nobody that it changed


async def test_rows_when_inserted_then_are_served(run_example: RunExample, tmp_path: Path) -> None:
    """Each row is a request, whose handler writes the result into the row."""
    file = tmp_path / "jobs.db"
    async with run_example("not_a_socket", str(file)):
        ask(file, "INSERT INTO jobs (text) VALUES ('one'), ('two')")
        assert await wait_results(file, 2) == [("one", "ONE"), ("two", "TWO")]
        ask(file, "INSERT INTO jobs (text) VALUES ('three')")
        assert ("three", "THREE") in await wait_results(file, 3)


async def test_rows_when_inserted_while_no_server_runs_then_are_served_later(
    run_example: RunExample, tmp_path: Path
) -> None:
    """A row without a result is served after the next start, and one with a result is not served again."""
    file = tmp_path / "jobs.db"
    async with run_example("not_a_socket", str(file)):
        pass
    ask(file, "INSERT INTO jobs (text, result) VALUES ('old', 'done before'), ('new', NULL)")
    async with run_example("not_a_socket", str(file)):
        assert await wait_results(file, 2) == [("old", "done before"), ("new", "NEW")]
