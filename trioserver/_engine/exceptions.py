"""Sorting what a request raised, so that one request's error touches no other (P4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import trio

if TYPE_CHECKING:
    from collections.abc import Iterable


class Sorted(NamedTuple):
    """An exception taken apart; the parts are ``None`` where there is nothing of the kind."""

    cancelled: BaseException | None
    """``trio.Cancelled``: it goes on to the scope it came from."""
    error: Exception | None
    """Goes to ``handle_error``."""
    fatal: BaseException | None
    """``KeyboardInterrupt``, ``SystemExit`` and the like: it stops the server."""


def sort_exception(exc: BaseException) -> Sorted:
    """Take an exception apart; a group that mixes kinds is split, its structure kept."""
    if isinstance(exc, trio.Cancelled):
        return Sorted(exc, None, None)
    if isinstance(exc, Exception):
        return Sorted(None, exc, None)
    if not isinstance(exc, BaseExceptionGroup):
        return Sorted(None, None, exc)
    cancelled, rest = without_cancelled(exc)
    if not isinstance(rest, BaseExceptionGroup):
        return Sorted(cancelled, None, None)
    error, fatal = rest.split(Exception)
    assert error is None or isinstance(error, Exception)
    return Sorted(cancelled, error, bare(fatal) if fatal is not None else None)


def bare(exc: BaseException) -> BaseException:
    """The exception inside groups of one."""
    while isinstance(exc, BaseExceptionGroup) and len(exc.exceptions) == 1:
        exc = exc.exceptions[0]
    return exc


def merge(failures: Iterable[BaseException]) -> BaseException | None:
    """One exception for what stopped a server: the only one as it is, several as a group."""
    several: list[BaseException] = []
    for failure in failures:
        if not any(failure is known for known in several):
            several.append(failure)
    if not several:
        return None
    if len(several) == 1:
        return several[0]
    return BaseExceptionGroup("several errors stopped the server", several)


def without_cancelled(exc: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """An exception as (cancellation, rest); a group keeps its shape, less the cancellations in it."""
    if isinstance(exc, BaseExceptionGroup):
        cancelled, rest = exc.split(trio.Cancelled)
        return (None, exc) if cancelled is None else (bare_cancelled(cancelled), rest)
    return (exc, None) if isinstance(exc, trio.Cancelled) else (None, exc)


def without_our_layer(group: BaseException) -> BaseException:
    """What a nursery of ours raised, without the group that it made; the groups that others made stay."""
    if not isinstance(group, BaseExceptionGroup):
        return group  # newer versions of trio let a lone cancellation out as it is
    rest = [exc for exc in group.exceptions if not isinstance(exc, trio.Cancelled)]
    if len(rest) > 1:
        return group.derive(rest)
    return rest[0] if rest else group.exceptions[0]


def bare_cancelled(exc: BaseException) -> BaseException:
    """The first ``Cancelled`` in a group of nothing else: they all say the same."""
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    return exc
