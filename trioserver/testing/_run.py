"""Running a program on a network of its own, with everything from one seed."""

from __future__ import annotations

import contextlib
import inspect
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, TypeVarTuple

import trio
import trio.testing

from trioserver import ConfigError

from ._checks import check_count
from ._deadlock import Deadlock, DeadlockWatch
from ._log import EventLog
from ._network import Network
from ._seeding import seeded, seeds_task_order
from ._targets import name_of, replay_hint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

ResultT = TypeVar("ResultT")
ArgsT = TypeVarTuple("ArgsT")


@dataclass(frozen=True, slots=True)
class RunResult(Generic[ResultT]):
    """What a run gave."""

    value: ResultT
    """What the function returned."""
    log: EventLog
    """What happened, see `EventLog`."""
    seed: int
    """What it all came from."""
    duration: float
    """Seconds from its start to its end, by the virtual clock."""
    task_order_seeded: bool
    """Whether the order of tasks came from the seed, see ``trioserver.testing.seeds_task_order``."""


def run(
    async_fn: Callable[[Network, *ArgsT], Awaitable[ResultT]],
    *args: *ArgsT,
    seed: int | None = None,
    instruments: Iterable[trio.abc.Instrument] = (),
) -> RunResult[ResultT]:
    """Run ``await async_fn(network, *args)`` in trio, on a new network, in virtual time, all from one seed.

    The same seed gives the same log, byte for byte, in any process, as far as the program takes all that is
    random from where a seed can reach it: the network, ``random``, ``secrets``, ``os.urandom``,
    ``uuid.uuid4``, the order of tasks. Threads, real sockets and files, ``time.time()`` and OpenSSL's
    randomness it can not reach; nor the order of a ``set`` of strings, see :func:`check_determinism`.

    Args:
      async_fn: The program. Its first argument is the `Network`, which is entered already.
      args: What else to call it with.
      seed: A whole number, 0 or more; None takes one at random, which the result has.
      instruments: trio's instruments for this run.

    Returns:
      A `RunResult`: what the function returned, and the event log.

    Raises:
      ConfigError: The seed is not usable, or ``async_fn`` is not an async function.
      Deadlock: Nothing could ever happen again: all tasks waited, with no deadline. The message says where.
      LifecycleError: Another seeded run is going on in this process.
      BaseException: What the function raised, as it was, with a note that has the seed and the command that
        replays it; `log_of` gives the event log.
    """
    check_count("seed", seed, none="a random one")
    if not callable(async_fn):
        raise ConfigError(f"async_fn must be an async function, not {async_fn!r}")
    number = random.SystemRandom().randrange(2**32) if seed is None else seed
    watch = DeadlockWatch()
    # No program exceeds a threshold of no time at all: whenever all tasks wait, the clock jumps.
    clock = trio.testing.MockClock(autojump_threshold=0)
    network = Network(number)
    try:
        with seeded(number):
            value = trio.run(
                _main, network, async_fn, args, watch, clock=clock, instruments=[*instruments, watch]
            )
    except _NotAsync as error:
        raise ConfigError(f"{_called(async_fn)} is not an async function: it returned {error}") from None
    except BaseException as error:
        _annotate(error, network.log, number, replay_hint(async_fn, args, number))
        raise
    return RunResult(value, network.log, number, clock.current_time(), seeds_task_order)


class _NotAsync(Exception):
    """The function returned what can not be awaited; its argument is the name of that class.

    Seen when it was called: a function that is not async itself may well return what another one does.
    """


def _called(function: Callable[..., Any]) -> str:
    return name_of(function) or getattr(function, "__qualname__", None) or repr(function)


async def _main(
    network: Network, async_fn: Callable[..., Awaitable[ResultT]], args: tuple[Any, ...], watch: DeadlockWatch
) -> ResultT:
    with trio.CancelScope() as scope:
        watch.begin(scope)
        try:
            with network:
                awaitable = async_fn(network, *args)
                if not inspect.isawaitable(awaitable):
                    raise _NotAsync(type(awaitable).__name__)
                value = await awaitable
        except Exception as error:
            if watch.report is not None:
                raise _deadlock(watch.report) from error
            raise
        finally:
            watch.end()
        if watch.report is None:
            return value
    raise _deadlock(watch.report)


def _deadlock(report: str | None) -> Deadlock:
    return Deadlock(f"every task waits, and no deadline is set:\n{report}")


def _annotate(error: BaseException, log: EventLog, seed: int, hint: str) -> None:
    order = "" if seeds_task_order else " (the order of tasks is not seeded with this version of trio)"
    error.add_note(f"seed {seed}{order}; {hint}")
    with contextlib.suppress(AttributeError):  # a class with __slots__ and no dict
        error._trioserver_log = log  # type: ignore[attr-defined]


def log_of(error: BaseException) -> EventLog | None:
    """The event log of the run that raised ``error``; None for an exception that no run raised."""
    log = getattr(error, "_trioserver_log", None)
    return log if isinstance(log, EventLog) else None


def copy_of_log(events: Iterable[Any]) -> EventLog:
    """A log of events that came from another process."""
    log = EventLog(lambda: 0.0)
    for event in events:
        log.later((_same, event))
    return log


def _same(event: Any) -> Any:
    return event
