"""How pytest finds the plugin, and that it does nothing to those who do not use it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import trioserver
import trioserver_adapters

if TYPE_CHECKING:
    from collections.abc import Callable

pytest_plugins = ["pytester"]

ENTRY_POINTS = "[pytest11]\ntrioserver.testing.pytest_plugin = trioserver_adapters._pytest\n"


@pytest.fixture
def run_installed(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., pytest.RunResult]:
    """Runs pytest in a process that finds the plugin as one that is installed, whether it is or not."""
    site = pytester.mkdir("site")
    metadata = site / "trioserver_as_if_installed-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: trioserver-as-if-installed\nVersion: 1\n"
    )
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    folders = [Path(str(package.__file__)).parents[1] for package in (trioserver, trioserver_adapters)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, [site, *folders])))
    pytester.makeini("[pytest]\ntrio_mode = true\nfilterwarnings = error\n")

    def run(*arguments: str) -> pytest.RunResult:
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)

    return run


USES_IT = """
import trioserver
from trioserver.testing import Client

async def echo(request, client_address, server):
    async for data in request:
        await request.send_all(data)

async def test_it(network, serve):
    assert network.seed == 5
    server = await serve(trioserver.TCPServer, echo, host="server")
    async with Client.connect(server) as client:
        await client.send(b"hello")
        await client.expect(b"hello")
"""


@pytest.mark.parametrize("named", [False, True], ids=["by itself", "named in the conftest too"])
def test_plugin_when_installed_then_its_fixtures_are_there_once(
    named: bool, pytester: pytest.Pytester, run_installed: Callable[..., pytest.RunResult]
) -> None:
    """Without a warning, of which each would be an error."""
    if named:
        pytester.makeconftest('pytest_plugins = ["trioserver.testing.pytest_plugin"]')
    pytester.makepyfile(USES_IT)
    run_installed("-W", "error", "--trioserver-seed=5").assert_outcomes(passed=1)


def test_plugin_when_named_on_the_command_line_then_it_is_the_same(
    pytester: pytest.Pytester, run_installed: Callable[..., pytest.RunResult]
) -> None:
    """``-p`` with the name of the module."""
    pytester.makepyfile(USES_IT)
    result = run_installed("-p", "trioserver.testing.pytest_plugin", "--trioserver-seed=5")
    result.assert_outcomes(passed=1)


def test_plugin_when_there_is_no_pytest_trio_then_nothing_is_imported(
    pytester: pytest.Pytester,
    run_installed: Callable[..., pytest.RunResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Other people's tests, in the same environment, do not pay for it; they see an option, that is all."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    pytester.makepyfile(
        """
        import sys

        def test_it(request):
            assert request.config.pluginmanager.hasplugin("trioserver.testing.pytest_plugin")
            assert not {"trio", "trioserver", "trioserver.testing"} & set(sys.modules)

        def test_no_such_fixture(network): pass
        """
    )
    result = run_installed("-W", "error", "-p", "trioserver.testing.pytest_plugin")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*fixture 'network' not found*"])


def test_plugin_when_turned_off_then_it_is_off(
    pytester: pytest.Pytester, run_installed: Callable[..., pytest.RunResult]
) -> None:
    """By its name."""
    pytester.makepyfile("async def test_it(network): pass")
    result = run_installed("-p", "no:trioserver.testing.pytest_plugin")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'network' not found*"])


def test_markers_and_options_when_asked_for_then_they_are_explained(pytester: pytest.Pytester) -> None:
    """In pytest's own lists."""
    for option, line in (
        ("--markers", "@pytest.mark.trioserver(seed=None, [*][*]options): *"),
        ("--help", "*--trioserver-seed=N*"),
    ):
        result = pytester.runpytest_inprocess("-p", "trioserver.testing.pytest_plugin", option)
        result.stdout.fnmatch_lines([line])


def test_the_name_of_the_entry_point_is_that_of_the_module() -> None:
    """Or ``pytest_plugins`` would load it a second time."""
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    if not pyproject.exists():
        pytest.skip("there is no project beside the installed package")
    import tomllib

    entry_points = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]["entry-points"]
    (line,) = [f"{name} = {module}" for name, module in entry_points["pytest11"].items()]
    assert line in ENTRY_POINTS
