"""The fixture ``network``: its clock, its seed, and what a failing test says of it."""

from __future__ import annotations

import os
import re

import pytest

from .plugin_kit import PLUGIN, run_tests

pytest_plugins = ["pytester"]


def test_network_when_used_then_time_and_sockets_are_simulated(pytester: pytest.Pytester) -> None:
    """An hour is nothing, and nothing is installed any more when the test is over."""
    result = run_tests(
        pytester,
        """
async def test_hour(network):
    await trio.sleep(3600)
    assert trio.current_time() == 3600
    with trio.socket.socket() as sock:
        assert sock.fileno() >= 2**30

async def test_after():
    with trio.socket.socket() as sock:
        assert sock.fileno() < 2**30
""",
    )
    result.assert_outcomes(passed=2)


def test_clock_when_the_test_names_one_then_it_is_that(pytester: pytest.Pytester) -> None:
    """One that stands still, say."""
    result = run_tests(
        pytester,
        """
async def test_still(network, mock_clock):
    mock_clock.jump(5)
    assert trio.current_time() == 5
""",
    )
    result.assert_outcomes(passed=1)


FAILING = """
import random

async def test_fails(network):
    with network.host("client"):
        network.log.note(f"{random.random()} {network.random.random()}")
    assert not "reached"
"""


def section(result: pytest.RunResult) -> str:
    """What the report of a failing test has of the plugin."""
    text = result.stdout.str()
    begin = text.index("- trioserver -")
    return text[text.index("\n", begin) : text.index("short test summary")]


def test_report_when_a_test_fails_then_it_has_the_seed_and_replays(pytester: pytest.Pytester) -> None:
    """The command in it gives the same random numbers, and the same log."""
    result = run_tests(pytester, FAILING)
    result.assert_outcomes(failed=1)
    first = section(result)
    match = re.search(r"pytest (\S+::test_fails) (--trioserver-seed=\d+)\n", first)
    assert match is not None
    again = pytester.runpytest_inprocess(*PLUGIN, *match.groups())
    assert section(again) == first
    other = run_tests(pytester, FAILING)
    assert section(other) != first


def test_report_when_the_log_is_long_then_it_has_the_end_of_it(pytester: pytest.Pytester) -> None:
    """Forty events."""
    result = run_tests(
        pytester,
        """
async def test_fails(network):
    for number in range(100):
        network.log.note(f"event {number}")
    assert False
""",
    )
    text = section(result)
    assert "the last 40 of 100 events:" in text
    assert re.findall(r"event (\d+)", text) == [str(number) for number in range(60, 100)]


def test_report_when_a_test_passes_or_has_no_network_then_nothing_is_added(pytester: pytest.Pytester) -> None:
    """Other tests are none of the plugin's business."""
    result = run_tests(
        pytester,
        """
async def test_passes(network): pass

async def test_without(): assert False

def test_synchronous(): assert False
""",
        "-rA",
    )
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.no_fnmatch_line("*trioserver-seed*")


def test_seed_when_an_option_or_a_marker_gives_it_then_it_is_that(pytester: pytest.Pytester) -> None:
    """The option wins, as it is what replays a failure; a marker's other arguments are the network's."""
    result = run_tests(
        pytester,
        """
async def test_option(network):
    assert network.seed == 7

@pytest.mark.trioserver(seed=8)
async def test_marker(network):
    assert network.seed == 7

@pytest.mark.trioserver(loss=2)
async def test_bad_option(network):
    pass

@pytest.mark.trioserver(latency=0.5, seed=1)
class TestClass:
    @pytest.mark.trioserver(seed=0)
    async def test_both(self, network, serve):
        assert network.seed == 7
        server = await serve(trioserver.TCPServer, Echo, host="server")
        with network.host("client"):
            async with Client.connect(server):
                assert trio.current_time() == 1
""",
        "--trioserver-seed=7",
    )
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*ConfigError: loss*"])
    marked = """
@pytest.mark.trioserver(seed=8)
class TestClass:
    async def test_outer(self, network):
        assert network.seed == 8

    @pytest.mark.trioserver(seed=0)
    async def test_inner(self, network):
        assert network.seed == 0
"""
    run_tests(pytester, marked).assert_outcomes(passed=2)


def test_command_when_pytest_was_started_elsewhere_then_it_works_from_there(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Node ids begin at the root of the project; its path on the command line does not."""
    pytester.makeini("[pytest]\ntrio_mode = true\n")
    folder = pytester.mkdir("folder")
    folder.joinpath("test_it.py").write_text(FAILING, encoding="utf-8")
    pytester.mkdir("other")
    for here, name in (("other", "../folder/test_it.py"), ("folder", "test_it.py")):
        monkeypatch.chdir(pytester.path / here)
        plugins = ("-p", "trioserver.testing.pytest_plugin", "-p", "no:cacheprovider")
        result = pytester.runpytest_inprocess(*plugins, "../folder")
        command = re.search("pytest (.*::test_fails) --trioserver-seed=.*", section(result))
        assert command is not None
        assert command[1].replace(os.sep, "/") == f"{name}::test_fails"


def test_task_order_when_a_test_runs_twice_with_a_seed_then_it_is_the_same(pytester: pytest.Pytester) -> None:
    """The scheduler is seeded, too, before the test begins."""
    source = """
async def test_order(network):
    order = []
    async def note(number):
        await trio.lowlevel.checkpoint()
        order.append(number)
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(note, number)
    raise AssertionError(f"the order is {order}")
"""

    def order(seed: int) -> list[str]:
        text = run_tests(pytester, source, f"--trioserver-seed={seed}").stdout.str()
        return re.findall("the order is .*]", text)

    assert order(1) == order(1) != []
    assert order(1) != order(2)


LEFT_BEHIND: dict[str, tuple[str, str]] = {
    "simulated socket": (
        """
async def test_it(network):
    with network.host("client"):
        sock = trio.socket.socket()
""",
        "*AssertionError: sockets were left open: <SimulatedSocket*on client*",
    ),
    "descriptor": (
        """
import socket

kept = []

async def test_it(network):
    kept.append(socket.socket())

def test_tidy_up():
    kept.pop().close()
""",
        "*AssertionError: descriptors of the operating system were left open: {*: 'socket *'}*",
    ),
    "deadlock": (
        """
async def test_it(network):
    await trio.sleep_forever()
""",
        "*Deadlock: every task waits, and no deadline is set*",
    ),
}


@pytest.mark.parametrize(("source", "message"), LEFT_BEHIND.values(), ids=LEFT_BEHIND)
def test_test_when_it_leaves_something_behind_or_hangs_then_it_fails(
    source: str, message: str, pytester: pytest.Pytester
) -> None:
    """And says what it was."""
    result = run_tests(pytester, source)
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines([message])


def test_sockets_that_are_left_when_the_test_failed_then_they_are_not_mentioned(
    pytester: pytest.Pytester,
) -> None:
    """They would hide why."""
    result = run_tests(
        pytester,
        """
async def test_fails(network):
    sock = trio.socket.socket()
    raise LookupError("why")
""",
    )
    result.stdout.fnmatch_lines(["*LookupError: why*"])
    result.stdout.no_fnmatch_line("*left open*")


def test_network_when_the_test_is_synchronous_then_the_error_says_so(pytester: pytest.Pytester) -> None:
    """Instead of a placeholder of pytest-trio's."""
    result = run_tests(pytester, "def test_synchronous(network): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*are for asynchronous tests with pytest-trio*"])


def test_runner_when_the_test_has_one_of_its_own_then_that_runs_it(pytester: pytest.Pytester) -> None:
    """As qtrio is, with the clock and the seed all the same; without ``trio_mode``, too."""
    result = run_tests(
        pytester,
        """
calls = []

def run(async_fn, *args, clock=None, instruments=()):
    calls.append(clock)
    return trio.run(async_fn, *args, clock=clock, instruments=instruments)

@pytest.mark.trio(run=run)
async def test_it(network):
    await trio.sleep(3600)
    assert len(calls) == 1
""",
        "-o",
        "trio_mode=false",
    )
    result.assert_outcomes(passed=1)


def test_network_when_hypothesis_runs_the_test_then_the_error_says_what_to_do(
    pytester: pytest.Pytester,
) -> None:
    """pytest-trio lets nobody else run its examples."""
    pytest.importorskip("hypothesis")
    result = run_tests(
        pytester,
        """
from hypothesis import HealthCheck, given, settings, strategies

@settings(database=None, suppress_health_check=list(HealthCheck))
@given(strategies.integers())
async def test_it(network, number):
    pass
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*call trioserver.testing.run() in the test instead*"])


def test_plugin_when_a_test_is_run_once_more_then_it_is_a_run_of_its_own(pytester: pytest.Pytester) -> None:
    """As pytest-rerunfailures does with those that failed: the same item goes through all of it again."""
    pytester.makeconftest(
        """
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            for _ in range(3):
                item._initrequest()
                for report in runtestprotocol(item, nextitem=nextitem, log=False):
                    item.ihook.pytest_runtest_logreport(report=report)
            return True
        """
    )
    result = run_tests(
        pytester,
        """
turns = []

async def test_it(network):
    turns.append(network)
    assert len(network.log) == 0
    if len(turns) == 1:
        trio.socket.socket()
    assert len(turns) != 2
""",
    )
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*sockets were left open*", "*assert len(turns) != 2*"])


def test_marker_when_an_argument_has_no_name_then_the_error_says_so(pytester: pytest.Pytester) -> None:
    """It would be a seed that nobody uses."""
    result = run_tests(
        pytester,
        """
@pytest.mark.trioserver(5)
async def test_it(network):
    pass
""",
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*takes its arguments by name*"])
