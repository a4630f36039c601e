"""Telling the observers, whatever they do."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._vocabulary.events import Observer, ServerEvent

logger = logging.getLogger("trioserver")


class Observers:
    """The observers of one server. False when there are none, so that no event need be made."""

    __slots__ = ("_observers",)

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = list(observers)

    def __bool__(self) -> bool:
        return bool(self._observers)

    def add(self, observer: Observer) -> None:
        """Call ``observer`` with every event from now on."""
        self._observers.append(observer)

    def remove(self, observer: Observer) -> None:
        """Call it no more; ``ValueError`` if it was not called."""
        self._observers.remove(observer)

    def tell(self, event: ServerEvent) -> None:
        """Call them all. An observer's error is logged and stops neither the server nor the others."""
        for observer in tuple(self._observers):
            try:
                observer(event)
            except Exception:
                logger.exception("An observer failed at %r", event)
