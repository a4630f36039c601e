"""Telling the observers, whatever they do."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._vocabulary.events import Observer, ServerEvent

logger = logging.getLogger("trioserver")


class Observers(list["Observer"]):
    """The observers of one server. False when there are none, so that no event need be made.

    A list, whose truth is found without a call of a function in Python: every request asks for it twice.
    """

    __slots__ = ()

    def add(self, observer: Observer) -> None:
        """Call ``observer`` with every event from now on."""
        self.append(observer)

    def tell(self, event: ServerEvent) -> None:
        """Call them all. An observer's error is logged and stops neither the server nor the others."""
        for observer in tuple(self):
            try:
                observer(event)
            except Exception:
                logger.exception("An observer failed at %r", event)
