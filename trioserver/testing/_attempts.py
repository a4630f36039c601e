"""One run as a record that can cross processes: how it ended, and its log."""

from __future__ import annotations

import pickle
import traceback
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from trioserver import ConfigError, LifecycleError

from ._run import log_of, run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from ._events import Event
    from ._run import RunResult


@dataclass(frozen=True, slots=True)
class Attempt:
    """How a run with a seed ended."""

    seed: int
    failure: str | None = None
    """The class of the error and its message; None if the run did not fail."""
    causes: tuple[str, ...] = ()
    """The same of the error itself or, of a group, of all that is in it; with the line that raised each."""
    traceback: str = ""
    """How Python would show the error, all of it."""
    events: tuple[Event, ...] = ()
    value: bytes | None = None
    """What the function returned, pickled; None if a copy of it would not be equal to it."""
    shown: str = ""
    """The same for people."""


class Attempted(NamedTuple):
    """An attempt, and what can not cross processes."""

    attempt: Attempt
    result: RunResult[Any] | None
    error: BaseException | None


def attempt(
    async_fn: Callable[..., Awaitable[Any]], args: tuple[Any, ...], seed: int, *, with_log: bool
) -> Attempted:
    """Run it in this process. Whatever it raises is how the run failed; only Ctrl-C comes out.

    Args:
      async_fn: The program.
      args: What to call it with, besides the network.
      seed: The seed.
      with_log: Whether log and value are wanted of a run that does not fail, too: it takes a while.
    """
    function: Any = async_fn  # of any number of arguments, which no type of `run` can say
    try:
        result = run(function, *args, seed=seed)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        log = log_of(error)
        if log is None and isinstance(error, (ConfigError, LifecycleError)):
            raise  # it did not run at all
        failed = Attempt(
            seed,
            failure=_words(error),
            causes=tuple(_cause(one) for one in _leaves(error)),
            traceback="".join(traceback.format_exception(error)),
            events=simple(log or ()),
        )
        return Attempted(failed, None, error)
    if not with_log:
        return Attempted(Attempt(seed), result, None)
    value = comparable(result.value)
    shown = repr(result.value) if value is not None else ""
    return Attempted(Attempt(seed, events=simple(result.log), value=value, shown=shown), result, None)


def _words(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # what is wrong with its __str__ must not hide the error itself
        text = "<str() failed>"
    return f"{type(error).__name__}: {text}".removesuffix(": ")


def _cause(error: BaseException) -> str:
    """An error as the end of a traceback has it, the words first."""
    lines = [_words(error)]
    for frame in traceback.extract_tb(error.__traceback__)[-1:]:
        lines.append(f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}')
        if frame.line:
            lines.append(f"    {frame.line}")
    return "\n".join(lines)


def _leaves(error: BaseException) -> list[BaseException]:
    """The errors in a group, and in the groups in it."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for one in error.exceptions for leaf in _leaves(one)]


def comparable(value: object) -> bytes | None:
    """``value`` as bytes, if what is made of the bytes is equal to it."""
    try:
        data = pickle.dumps(value)
        return data if pickle.loads(data) == value else None
    except Exception:  # each class has its own reasons not to be pickled or compared
        return None


def simple(events: Iterable[Event]) -> tuple[Event, ...]:
    """The events without those of their fields that are no simple values: they go to other processes."""
    kinds = (str, int, float, bool, tuple, type(None))
    return tuple(
        event
        if all(isinstance(value, kinds) for value in event.fields.values())
        else replace(event, fields={name: v for name, v in event.fields.items() if isinstance(v, kinds)})
        for event in events
    )
