"""A server on something that is not a socket: it serves the rows of a database table.

Run it:      python examples/not_a_socket.py [FILE]
Talk to it:  sqlite3 FILE "INSERT INTO jobs (text) VALUES ('hello')"
             sqlite3 FILE "SELECT * FROM jobs"
Stop it:     Ctrl-C

All that it takes is a ``get_request`` that waits for the next one. It changes nothing, so a row is not lost
when the server stops before it is served: without a result, it is served after the next start.
"""

import contextlib
import sqlite3
import sys
from typing import Any

import trio

import trioserver


class TableServer(trioserver.BaseServer[str]):
    max_requests = 10
    last_id = 0

    async def get_request(self) -> tuple[str, int]:
        while True:
            sql = "SELECT text, id FROM jobs WHERE result IS NULL AND id > ? ORDER BY id LIMIT 1"
            if rows := await self.query(sql, self.last_id):
                text, self.last_id = rows[0]
                return text, self.last_id
            await trio.sleep(0.2)

    async def query(self, sql: str, *values: object) -> list[Any]:
        def run() -> list[Any]:
            with contextlib.closing(sqlite3.connect(self.server_address)) as database, database:
                return database.execute(sql, values).fetchall()

        return await trio.to_thread.run_sync(run)


async def shout(text: str, row_id: int, server: TableServer) -> None:
    await server.query("UPDATE jobs SET result = ? WHERE id = ?", text.upper(), row_id)


async def main(file: str) -> None:
    server = TableServer(file, shout)
    await server.query("CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY, text TEXT, result TEXT)")
    print(f"Serving the table jobs in {file}")
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(main, sys.argv[1] if len(sys.argv) > 1 else "jobs.db")
