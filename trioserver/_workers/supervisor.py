"""Who is in which place, and who takes it next.

Each place has its sockets, a task that sees to it that somebody serves them, and a lock: whoever starts a
worker for the place holds it.

1. A place changes hands only when the next worker serves: the one before is told to drain then, and not
   earlier. Both accept from the same sockets meanwhile; no connection is refused or lost.
2. At first all workers are started at the same time, and none serves before all could: what is wrong with
   the program is wrong with each, and is raised. Later on a worker that can not start is logged, and tried
   again.
3. `stop` ends everything, at any time: it cancels all that would start workers, and tells those that are
   there.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

import trio

from .._vocabulary.errors import WorkerError
from .._vocabulary.reports import Counts
from .._vocabulary.workers import WorkerDelayed, WorkerEnded, WorkersReport, WorkerStarted
from .backoff import LONG, RestartBackoff
from .process import Worker

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Generator

    from .._engine.observers import Observers
    from .channel import Message
    from .sockets import SharedSockets

logger = logging.getLogger("trioserver")


class Place:
    """A place for one worker.

    Attributes:
      slot: Its number.
      sockets: What is served there.
      worker: Who serves it, or was the last to.
      lock: Held while a worker is started for it.
      pause: Around the wait before the next try, where there is one.
    """

    def __init__(self, slot: int, sockets: list[socket.socket]) -> None:
        self.slot = slot
        self.sockets = sockets
        self.worker: Worker | None = None
        self.lock = trio.Lock()
        self.pause: trio.CancelScope | None = None
        self.backoff = RestartBackoff()
        self.generations = 0


class Supervisor:
    """Starts workers, watches them, and ends them.

    Attributes:
      workers: Those that have not ended, the oldest first.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        sockets: SharedSockets,
        start: Message,
        observers: Observers,
        *,
        grace_period: float | None,
        start_timeout: float,
        kill_timeout: float,
    ) -> None:
        self.workers: list[Worker] = []
        self._nursery = nursery
        self._sockets = sockets
        self._places = [Place(slot, group) for slot, group in enumerate(sockets.groups)]
        self._start = start
        self._observers = observers
        self._grace_period = grace_period
        self._start_timeout = start_timeout
        self._kill_timeout = kill_timeout
        self._scopes: dict[trio.CancelScope, None] = {}
        self._started = trio.Event()
        self._stopping = False
        self._counts = Counts()
        self._served = 0
        self._unreported = 0

    # Starting.

    async def run(self, when_started: Callable[[], object]) -> None:
        """Start them all, and keep every place served until `stop` is called.

        Raises:
          WorkerError: One of the first ones could not start.
        """
        with self._until_stopped():
            workers = [self._launch(place) for place in self._places]
            for worker in workers:
                await worker.loaded.wait()
                self._check(worker)
            for place, worker in zip(self._places, workers, strict=True):
                await self._let_serve(place, worker)
            when_started()
            for place in self._places:
                self._nursery.start_soon(self._keep, place, name="trioserver: keeps a place")
            self._started.set()
            await trio.sleep_forever()

    @contextlib.contextmanager
    def _until_stopped(self) -> Generator[None]:
        """A block that `stop` cancels."""
        with trio.CancelScope() as scope:
            self._scopes[scope] = None
            try:
                if self._stopping:
                    scope.cancel()
                yield
            finally:
                del self._scopes[scope]

    def _launch(self, place: Place) -> Worker:
        """Launch a worker. No checkpoint: it is in the nursery, and in the list, when this returns."""
        worker = Worker(
            place.slot,
            place.generations,
            start_timeout=self._start_timeout,
            kill_timeout=self._kill_timeout,
        )
        place.generations += 1
        if self._stopping:  # since the lock of the place was taken, which ends with a step that is shielded
            worker.stop(0.0)
        self.workers.append(worker)
        self._nursery.start_soon(self._attend, worker, place.sockets, name="trioserver: worker")
        return worker

    @trio.lowlevel.enable_ki_protection
    async def _attend(self, worker: Worker, sockets: list[socket.socket]) -> None:
        """Run a worker, and tell of its end."""
        try:
            await worker.run(self._start, sockets)
        finally:
            self.workers.remove(worker)
        if worker.exit_status is None:
            return  # there never was a process
        if worker.report is not None:
            self._served += worker.has_served
            self._counts = self._counts.plus(worker.report)
        elif worker.told_to_serve:
            self._served += 1
            self._unreported += 1
        self._observers.tell(
            WorkerEnded(
                time=trio.current_time(),
                slot=worker.slot,
                pid=worker.pid,
                expected=worker.expected,
                exit_status=worker.exit_status,
                report=worker.report,
            )
        )

    def _check(self, worker: Worker) -> None:
        """Raise WorkerError if it has ended already."""
        if worker.ended.is_set():
            raise WorkerError(f"a worker could not start: {worker.failure}", exit_status=worker.exit_status)

    async def _let_serve(self, place: Place, worker: Worker) -> None:
        """Let a worker serve that could, and give it the place."""
        worker.serve()
        await worker.ready.wait()
        self._check(worker)
        before, place.worker = place.worker, worker
        if before is not None:
            before.relieved.set()
        if place.pause is not None:
            place.pause.cancel()  # of whoever had no luck just before: there is nothing left to wait for
        self._observers.tell(WorkerStarted(time=trio.current_time(), slot=worker.slot, pid=worker.pid))

    async def _fill(self, place: Place) -> Worker:
        """Start a worker and give it the place; whoever calls has the lock of the place."""
        worker = self._launch(place)
        try:
            await worker.loaded.wait()
            self._check(worker)
            await self._let_serve(place, worker)
        except BaseException:
            if place.worker is not worker:
                worker.stop(self._grace_period)  # it may have accepted somebody by now
            raise
        return worker

    # Watching.

    @trio.lowlevel.enable_ki_protection
    async def _keep(self, place: Place) -> None:
        """See to it that somebody serves the place."""
        with self._until_stopped():
            while True:
                worker = place.worker
                assert worker is not None
                await worker.relieved.wait()
                if place.worker is not worker:
                    continue  # a restart has put another one there
                if worker.ended.is_set():
                    level = logging.ERROR if worker.exit_status else logging.INFO
                    logger.log(level, "Worker %d ended without being told to: %s", worker.pid, worker.failure)
                await self._replace(place, worker)

    async def _replace(self, place: Place, worker: Worker) -> None:
        """Put another worker into the place of this one, which has ended, or asks for it."""
        served_for = worker.served_for
        while True:
            delay = place.backoff.next_delay(served_for)
            if delay:
                self._observers.tell(WorkerDelayed(time=trio.current_time(), slot=place.slot, delay=delay))
                # Unless somebody is being started there, who may listen already.
                if delay >= LONG and worker.ended.is_set() and not place.lock.locked():
                    self._sockets.withdraw(place.slot)
                with trio.CancelScope() as place.pause:  # a restart ends it: the program may be well now
                    await trio.sleep(delay)
                place.pause = None
            async with place.lock:
                if place.worker is not worker:
                    return  # a restart was faster
                try:
                    await self._fill(place)
                except WorkerError as error:
                    logger.error("%s", error)
                    served_for = 0.0
                else:
                    worker.stop(self._grace_period, replaced=True)
                    return

    # Restarting.

    async def restart(self) -> None:
        """Replace each worker by a new one, place by place; returns when those before have ended.

        Raises:
          WorkerError: A new one could not start. It and those that follow were not replaced.
        """
        before = tuple(self.workers)
        with self._until_stopped():
            first = {place.slot: place.generations for place in self._places}
            await self._started.wait()  # until then the places are nobody's
            for place in self._places:
                if place.pause is not None:
                    place.pause.cancel()
                async with place.lock:
                    old = place.worker
                    assert old is not None
                    if old.generation >= first[place.slot]:
                        continue  # somebody was just being started, or another restart came first
                    await self._fill(place)
                    old.stop(self._grace_period, replaced=True)
            for old in before:
                await old.ended.wait()

    # Stopping.

    def stop(self, grace_period: float | None) -> None:
        """Start no more, and make all end; never waits. The earliest end that was asked for holds."""
        self._stopping = True
        for worker in self.workers:
            worker.stop(grace_period)
        for scope in tuple(self._scopes):
            scope.cancel()

    async def wait_ended(self) -> None:
        """Wait until no worker is left. Cancellation: they go on."""
        while self.workers:
            await self.workers[0].ended.wait()

    def report(self, duration: float) -> WorkersReport:
        """What became of the requests of those that have ended."""
        counts = self._counts
        return WorkersReport(
            accepted=counts.accepted,
            finished=counts.finished,
            failed=counts.failed,
            cancelled=counts.cancelled,
            rejected=counts.rejected,
            duration=duration,
            workers=self._served,
            unreported=self._unreported,
        )
