"""Running a program with many seeds, to find one that makes it fail."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Sized
from typing import TYPE_CHECKING, Any, NamedTuple

from trioserver import ConfigError

from ._attempts import Attempt, attempt
from ._checks import check_count
from ._processes import Worker
from ._progress import Progress
from ._run import copy_of_log
from ._targets import name_of, replay_hint
from ._worker import Order

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from ._log import EventLog

MOST_CAUSES = 5
"""Errors of a group that the message of `SeedFailed` has."""
LAST_LINES = 10
"""Lines of the log that the message of `SeedFailed` ends with."""


class _InAnotherProcess(Exception):
    """An error that can not come here itself: its traceback as text, so that Python shows it."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class SeedFailed(AssertionError):
    """A program failed with one of the seeds; the message has the error and the command that replays it.

    It has the errors themselves, each with the line that raised it, and not the groups that nurseries put
    them in. The whole traceback is that of its ``__cause__``, which Python shows before it.

    Attributes:
      seed: The seed.
      error: The error as Python shows it, with its traceback.
      log: The event log of the run, up to the error.
    """

    def __init__(self, message: str, *, seed: int, error: str, log: EventLog) -> None:
        super().__init__(message)
        self.seed = seed
        self.error = error
        self.log = log


def explore(
    async_fn: Callable[..., Awaitable[Any]],
    seeds: Iterable[int] = range(1000),
    *,
    processes: int | None = None,
) -> int:
    """Run a program with many seeds, as :func:`run` does, and stop at the first that makes it fail.

    Which seed is reported does not depend on how fast the processes are: it is the first in the order of
    ``seeds`` that fails. They are begun in that order; once one has failed no other is begun, those that come
    later are cancelled, and those that come earlier are awaited, as one of them may fail too.

    A program that fails with some seed must fail with it each time, so each process has the same
    ``PYTHONHASHSEED``: that of the environment, else 0, as the command that replays it has. What programs
    print in these processes is thrown away; the replay shows it. On a terminal there is a progress bar.

    Args:
      async_fn: The program: called with the network alone.
      seeds: Whole numbers, 0 or more; it may be endless, as ``itertools.count()``.
      processes: How many processes to run it in. 1: this one, with any function. More than 1: new processes,
        for functions that can be imported from their module. None: as many as there are processors for such a
        function, else 1.

    Returns:
      int: How many seeds were run.

    Raises:
      ConfigError: A seed, or the number of processes, is not usable for this function.
      SeedFailed: The program failed. Its ``__cause__`` is the error; from another process, an
        exception that has the traceback as its text.
      KeyboardInterrupt: Ctrl-C. No process is left, then or in any other case.
    """
    check_count("processes", processes, none="one for each processor")
    if processes == 0:
        raise ConfigError("processes must be at least 1, or None for one for each processor, not 0")
    name = name_of(async_fn)
    if processes is None:
        processes = _processors() if name is not None else 1
    elif processes > 1 and name is None:
        raise ConfigError(
            "processes must be 1 for a function that can not be imported from its module: "
            f"{getattr(async_fn, '__qualname__', async_fn)!r}"
        )
    total = len(seeds) if isinstance(seeds, Sized) else None
    processes = processes if total is None else min(processes, total)
    with Progress(total) as progress:
        if processes <= 1 or name is None:
            _explore_here(async_fn, seeds, progress)
        else:
            failed = _Exploration(name, seeds, progress).run(processes)
            if failed is not None:
                raise _failure(async_fn, failed) from _InAnotherProcess(failed.traceback)
    return progress.done


def _processors() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _explore_here(async_fn: Callable[..., Awaitable[Any]], seeds: Iterable[int], progress: Progress) -> None:
    for seed in seeds:
        check_count("seeds", seed)
        attempted = attempt(async_fn, (), seed, with_log=False)
        progress.step()
        if attempted.error is not None:
            raise _failure(async_fn, attempted.attempt) from attempted.error


def _failure(async_fn: Callable[..., Any], failed: Attempt) -> SeedFailed:
    log = copy_of_log(failed.events)
    causes = failed.causes
    if len(causes) == 1:
        lines = [f"seed {failed.seed} failed: {causes[0]}"]
    else:
        lines = [f"seed {failed.seed} failed: {failed.failure}", *causes[:MOST_CAUSES]]
        if len(causes) > MOST_CAUSES:
            lines.append(f"and {len(causes) - MOST_CAUSES} more")
    lines.append(replay_hint(async_fn, (), failed.seed))
    if failed.events:
        lines.append(f"the last of {len(log)} events:")
        lines += [f"  {event}" for event in log[-LAST_LINES:]]
    return SeedFailed("\n".join(lines), seed=failed.seed, error=failed.traceback, log=log)


class _Answer(NamedTuple):
    """What a thread has to tell."""

    turn: int
    """The place of its seed in the order of the seeds."""
    result: Attempt | BaseException | None
    """None: there are no more seeds, or it was stopped."""


class _Exploration:
    """Seeds dealt out to processes, each of which has a thread here that waits for its answers."""

    def __init__(self, name: str, seeds: Iterable[int], progress: Progress) -> None:
        self._name = name
        self._seeds: Iterator[tuple[int, int]] = enumerate(seeds)
        self._progress = progress
        self._lock = threading.Lock()
        self._stopping = False
        self._dealt: dict[int, int] = {}
        """Seeds whose answers were not looked at yet, by their places in the order of seeds."""
        self._answers: queue.SimpleQueue[_Answer] = queue.SimpleQueue()

    def run(self, processes: int) -> Attempt | None:
        """The first failure in the order of the seeds, if there is one."""
        workers: list[Worker] = []
        threads: list[threading.Thread] = []
        try:
            for _ in range(processes):
                workers.append(worker := Worker())
                threads.append(threading.Thread(target=self._serve, args=(worker,), daemon=True))
                threads[-1].start()
            return self._collect(len(threads))
        finally:
            self._stop()
            for worker in workers:
                worker.kill()
            for thread in threads:
                thread.join()
            for worker in workers:
                worker.close()

    def _collect(self, running: int) -> Attempt | None:
        first: _Answer | None = None
        while running:
            answer = self._next_answer()
            if answer.result is None:
                running -= 1
            elif isinstance(answer.result, BaseException):
                raise answer.result
            else:
                self._progress.step()
                with self._lock:
                    del self._dealt[answer.turn]
                if answer.result.failure is not None and (first is None or answer.turn < first.turn):
                    first = answer
                    self._stop()
            if first is not None and not self._is_open_before(first.turn):
                break
        return first.result if first is not None and isinstance(first.result, Attempt) else None

    def _next_answer(self) -> _Answer:
        while True:
            try:
                # Ctrl-C ends this wait where there are signals; on Windows it is noticed only after it.
                return self._answers.get(timeout=1)
            except queue.Empty:
                continue

    def _stop(self) -> None:
        with self._lock:
            self._stopping = True

    def _is_open_before(self, index: int) -> bool:
        """Whether a seed that comes before this one may fail yet."""
        with self._lock:
            return any(dealt < index for dealt in self._dealt)

    def _serve(self, worker: Worker) -> None:
        index = -1
        try:
            while (order := self._next_order()) is not None:
                index, seed = order
                self._answers.put(_Answer(index, worker.run(Order(self._name, (), seed, with_log=False))))
        except BaseException as error:  # what stops the thread stops all of it
            self._answers.put(_Answer(index, error))
        self._answers.put(_Answer(index, None))

    def _next_order(self) -> tuple[int, int] | None:
        with self._lock:
            if self._stopping:
                return None
            order = next(self._seeds, None)
            if order is not None:
                check_count("seeds", order[1])
                self._dealt[order[0]] = order[1]
            return order
