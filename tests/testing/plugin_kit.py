"""What the tests of the pytest plugin share: a pytest inside of pytest, with the plugin in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

PLUGIN = ["-p", "trioserver.testing.pytest_plugin", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
"""What loads it. Where it is installed, the pytest around this one has imported it already: a warning."""

HEADER = """
import pytest
import trio

import trioserver
from trioserver.testing import Client

class Echo(trioserver.StreamRequestHandler):
    async def handle(self):
        async for line in self.rfile:
            await self.wfile.write(line)

async def fail(request, client_address, server):
    await request.receive_some()
    raise LookupError("a bug")

"""


def run_tests(pytester: pytest.Pytester, source: str, *arguments: str) -> pytest.RunResult:
    """Run test functions, in which some names are known, in this process."""
    pytester.makeini("[pytest]\ntrio_mode = true\nfilterwarnings = error\n")
    pytester.makepyfile(HEADER + source)
    return pytester.runpytest_inprocess(*PLUGIN, "-p", "no:cacheprovider", *arguments)
