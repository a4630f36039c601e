"""Running a program twice and comparing all that can be seen of it."""

from __future__ import annotations

import pickle
import re
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

from trioserver import ConfigError

from ._attempts import attempt
from ._checks import check_count
from ._processes import Worker
from ._targets import hash_seed, name_of
from ._worker import Order

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._attempts import Attempt
    from ._run import RunResult

CONTEXT = 5
"""Lines of the log to show before the first difference."""


class NotDeterministic(AssertionError):
    """Two runs with the same seed differed.

    Attributes:
      seed: The seed.
      line: The number of the first line of the logs that differs, from 1; None where it is not the logs.
      first: That line of the first run, or its outcome; None if its log ended before it.
      second: The same of the second run.
    """

    def __init__(
        self, message: str, *, seed: int, line: int | None, first: str | None, second: str | None
    ) -> None:
        super().__init__(message)
        self.seed = seed
        self.line = line
        self.first = first
        self.second = second


ResultT = TypeVar("ResultT")


def check_determinism(
    async_fn: Callable[..., Awaitable[ResultT]],
    *args: Any,
    seed: int,
    other_process: bool | None = None,
) -> RunResult[ResultT]:
    """Run a program twice with one seed, and compare the event logs and what the runs returned or raised.

    Found is what escapes the seed: the time of day, threads, real files and sockets, state that the first
    run leaves to the second; and, with the second run in another process, which has another
    ``PYTHONHASHSEED``, the order of sets of strings or of objects. The order of trio's own sets does not
    matter: the tasks in them are sorted before they run.

    What a run returned is compared if that makes sense: if a pickled copy of it is equal to it. Of an error,
    its class and message.

    Args:
      async_fn: The program, as for :func:`run`.
      args: What else to call it with.
      seed: The seed of both runs.
      other_process: Whether the second run gets a process of its own. None: where that is possible, for
        a function that can be imported from its module, with arguments that can be pickled. True: it must.

    Returns:
      The `RunResult` of the first run.

    Raises:
      ConfigError: The seed is not usable, or another process must run what it can not.
      NotDeterministic: The runs differed; the message shows where.
      BaseException: What both runs raised, from the first.
    """
    check_count("seed", seed)
    name = None if other_process is False else name_of(async_fn)
    if name is not None and not _can_be_pickled(args):
        name = None
    if other_process and name is None:
        raise ConfigError(
            "other_process needs a function that its module has under its name, and arguments that can be "
            f"pickled: {getattr(async_fn, '__qualname__', async_fn)!r}"
        )
    first, result, error = attempt(async_fn, args, seed, with_log=True)
    second = None
    where = "in the same process"
    if name is not None:
        worker = Worker(own_hash_seed="2" if hash_seed() == "1" else "1")
        try:
            second = worker.run(Order(name, args, seed, with_log=True))
            where = f"in another process, with PYTHONHASHSEED={worker.hash_seed}"
        except ConfigError:
            if other_process:
                raise
        finally:
            worker.close()
    if second is None:
        second = attempt(async_fn, args, seed, with_log=True).attempt
    _compare(first, second, where)
    if error is not None:
        raise error
    assert result is not None
    return result


def _can_be_pickled(args: tuple[Any, ...]) -> bool:
    try:
        pickle.dumps(args)
    except Exception:  # each class has its own reasons
        return False
    return True


def _compare(first: Attempt, second: Attempt, where: str) -> None:
    lines = [str(event) for event in first.events]
    others = [str(event) for event in second.events]
    for index, (one, other) in enumerate(zip_longest(lines, others)):
        if one != other:
            shown = [f"  {line}" for line in lines[max(0, index - CONTEXT) : index]]
            shown += [f"- {_or_end(one)}", f"+ {_or_end(other)}"]
            number = index + 1
            message = f"seed {first.seed}: the logs differ from line {number} on (+: second run, {where})"
            raise _error([message, *shown, *_outcomes(first, second)], first.seed, number, one, other)
    one, other = _outcome(first), _outcome(second)
    if one != other and not _equal_values(first, second):
        message = f"seed {first.seed}: the logs are equal, but the outcomes differ (second run {where})"
        raise _error([message, f"- {one}", f"+ {other}"], first.seed, None, one, other)


def _error(
    lines: list[str], seed: int, line: int | None, first: str | None, second: str | None
) -> NotDeterministic:
    return NotDeterministic("\n".join(lines), seed=seed, line=line, first=first, second=second)


def _or_end(line: str | None) -> str:
    return "(the end of the log)" if line is None else line


def _outcomes(first: Attempt, second: Attempt) -> list[str]:
    """What to say of errors, where there were any."""
    if first.failure is None and second.failure is None:
        return []
    return [f"the first run {_outcome(first)}", f"the second run {_outcome(second)}"]


def _outcome(attempt: Attempt) -> str:
    """How a run ended, without the addresses of objects, which differ in each process."""
    if attempt.failure is not None:
        # The first line: a deadlock's others have names of tasks, which depend on how a module was found.
        text = f"raised {attempt.failure.partition(chr(10))[0]}"
    elif attempt.value is None:
        text = "returned something that can not be compared"
    else:
        text = f"returned {attempt.shown}"
    return re.sub(r"\b0x[0-9a-fA-F]+", "0x...", text)


def _equal_values(first: Attempt, second: Attempt) -> bool:
    """Whether both runs returned something, and not two different things.

    Asked only when they look different: equal sets may be shown in different orders.
    """
    if first.failure is not None or second.failure is not None:
        return False
    if first.value is None or second.value is None:
        return True
    try:
        return bool(pickle.loads(first.value) == pickle.loads(second.value))
    except Exception:  # a class that is found in the process that ran it alone
        return False
