"""A `RequestStream` to look at: what reads and sends is the server, and not the one who has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import trio

from .stream import HANDSHAKE_TIMEOUT, RECEIVE_BYTES, RequestStream

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable

    from _typeshed import ReadableBuffer


class ServedStream(RequestStream):
    """The half of a stream that is refused: receiving and sending. Abstract."""

    __slots__ = ()

    @property
    def ssl_object(self) -> ssl.SSLObject | None:
        """None: a TLS connection is not served in place."""
        return None

    def _refuse(self) -> NoReturn:
        raise RuntimeError(
            "this connection is served by callbacks: data_received() gets what comes, and write() sends"
        )

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Raise RuntimeError."""
        self._refuse()

    async def send_all(self, data: ReadableBuffer) -> None:
        """Raise RuntimeError."""
        self._refuse()

    async def wait_send_all_might_not_block(self) -> None:
        """Raise RuntimeError."""
        self._refuse()

    async def send_eof(self) -> None:
        """Raise RuntimeError."""
        self._refuse()

    async def wait_request(self, timeout: float | None = None) -> bool:
        """Raise RuntimeError."""
        self._refuse()

    async def fill(
        self, max_bytes: int = RECEIVE_BYTES, *, until_drain: bool = False, timeout: float | None = None
    ) -> bool:
        """Raise RuntimeError."""
        self._refuse()

    def receive_now(self, max_bytes: int = RECEIVE_BYTES) -> bytes | None:
        """Raise RuntimeError."""
        self._refuse()

    def wait_input(self, max_bytes: int = RECEIVE_BYTES) -> Awaitable[bool | None]:
        """Raise RuntimeError."""
        self._refuse()

    def try_send(self, data: ReadableBuffer) -> int:
        """Raise RuntimeError."""
        self._refuse()

    async def send_rest(self, rest: memoryview) -> None:
        """Raise RuntimeError."""
        self._refuse()

    async def starttls(
        self,
        ssl_context: ssl.SSLContext,
        *,
        timeout: float | None = HANDSHAKE_TIMEOUT,
        suppress_ragged_eofs: bool = True,
    ) -> None:
        """Raise RuntimeError."""
        self._refuse()

    async def aclose(self) -> None:
        """Close at once; `CallbackRequestHandler.close` does so when all is sent. Always a checkpoint."""
        self.close()
        await trio.lowlevel.checkpoint()
