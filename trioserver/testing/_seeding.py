"""One seed for all that is random in a program: the one file that uses names that are private to trio.

What :func:`seeded` makes repeatable while its block runs, and puts back as it was:

    the order of tasks    trio shuffles the tasks that are ready, by a generator of its own
    ``random``            its functions, and each ``random.Random()`` that is made without a seed
    ``os.urandom``        and so ``secrets``, ``random.SystemRandom``, ``uuid.uuid4``

What no one can seed from inside a process: the randomness of OpenSSL (a TLS signature may differ in length
by a byte or two), ``time.time()``, ``uuid.uuid1``, worker threads, the addresses of objects, and the hashes
of strings. So a program whose outcome depends on the order in which it walks through a ``set`` of strings
differs between processes, unless ``PYTHONHASHSEED`` is the same; one that walks through a set of objects
that have no ``__hash__`` of their own may differ even then. :func:`check_determinism` finds the former.
"""

from __future__ import annotations

import importlib
import os
import random
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trioserver import LifecycleError

if TYPE_CHECKING:
    from collections.abc import Iterator

FLAG = "_ALLOW_DETERMINISTIC_SCHEDULING"
"""True while Hypothesis is in use: trio then sorts the tasks that are ready before it shuffles them."""
GENERATOR = "_r"
"""The ``random.Random`` that trio shuffles them with."""


def _find_scheduler() -> Any:
    """The module of trio's loop if it has what we know from trio 0.28 to 0.35, and uses it; else None."""
    try:
        module = importlib.import_module("trio._core._run")
    except ImportError:
        return None
    names = getattr(getattr(module.__dict__.get("unrolled_run"), "__code__", None), "co_names", ())
    known = FLAG in names and GENERATOR in names and hasattr(module, FLAG)
    return module if known and isinstance(getattr(module, GENERATOR, None), random.Random) else None


_scheduler = _find_scheduler()

seeds_task_order: bool = _scheduler is not None
"""Whether the order of tasks comes from the seed with the version of trio that is installed.

Without it everything else still does, so that a program whose outcome does not depend on the order in which
tasks run is as repeatable as ever. Each :class:`RunResult` says which it was.
"""

_running = threading.Lock()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Take all randomness from ``seed`` while the block runs, then put back what was there.

    It concerns the whole process, other threads too: so one block at a time. Around ``trio.run`` the order
    of tasks is repeatable from the first; entered inside a run, from then on.

    Raises:
      LifecycleError: Another such block is being run, by this thread or another.
    """
    if not _running.acquire(blocking=False):
        raise LifecycleError("only one seeded run at a time: it seeds the whole process")
    try:
        with _seeded_task_order(seed), _seeded_random(seed), _seeded_entropy(seed):
            yield
    finally:
        _running.release()


@contextmanager
def _seeded_task_order(seed: int) -> Iterator[None]:
    if _scheduler is None:
        yield
        return
    generator: random.Random = getattr(_scheduler, GENERATOR)
    state, flag = generator.getstate(), getattr(_scheduler, FLAG)
    # Each consumer has a sequence of its own: one more draw in the program shuffles no task differently.
    generator.seed(f"task order {seed}")
    setattr(_scheduler, FLAG, True)
    try:
        yield
    finally:
        setattr(_scheduler, FLAG, flag)
        generator.setstate(state)


@contextmanager
def _seeded_random(seed: int) -> Iterator[None]:
    state = random.getstate()
    random.seed(f"random {seed}")
    try:
        yield
    finally:
        random.setstate(state)


@contextmanager
def _seeded_entropy(seed: int) -> Iterator[None]:
    """Replace the sources of the operating system's randomness, wherever the stdlib looks them up."""
    source = random.Random(f"entropy {seed}")
    reseed, reseed_global = random.Random.seed, random.seed

    def urandom(size: int, /) -> bytes:
        if size < 0:
            raise ValueError("negative argument not allowed")
        return source.randbytes(size)

    def getrandom(size: int, flags: int = 0) -> bytes:
        return urandom(size)

    def seed_method(self: random.Random, a: Any = None, version: int = 2) -> None:
        reseed(self, source.getrandbits(256) if a is None else a, version)

    def seed_function(a: Any = None, version: int = 2) -> None:
        reseed_global(source.getrandbits(256) if a is None else a, version)

    replacements: list[tuple[Any, str, Any]] = [
        (os, "urandom", urandom),
        (os, "getrandom", getrandom),
        (random, "_urandom", urandom),  # what SystemRandom calls, and so `secrets`
        (random, "seed", seed_function),
        (random.Random, "seed", seed_method),  # what Random() calls
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in replacements if hasattr(owner, name)]
    try:
        for owner, name, replacement in replacements:
            if hasattr(owner, name):
                setattr(owner, name, replacement)
        yield
    finally:
        for owner, name, original in before:
            setattr(owner, name, original)
