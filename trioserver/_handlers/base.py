"""`BaseRequestHandler`: set up, handle, finish."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

import trio

from .._vocabulary.reports import Timeout

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Generator

    from typing_extensions import TypeVar

    from .._servers.base import BaseServer

    RequestT = TypeVar("RequestT", default=Any)
    ServerT = TypeVar("ServerT", bound=BaseServer[Any], default=BaseServer[Any])
else:
    from typing import TypeVar

    RequestT = TypeVar("RequestT")
    ServerT = TypeVar("ServerT")


class BaseRequestHandler(Generic[RequestT, ServerT]):
    """The base of request handlers: one instance serves one request, when it is awaited.

    Override `handle`, and `setup` and `finish` if need be; all three are async. A checker knows the types
    of ``self.request`` and ``self.server`` where you name them:
    ``class Handler(BaseRequestHandler[RequestStream, MyServer])``.

    Class variables, to be overridden:
      finish_timeout: Seconds that `finish` may take once the request is cancelled; 5.

    Attributes:
      request: What to serve; for stream servers the stream.
      client_address: The client's address, in the form of the address family.
      server: The server.
    """

    finish_timeout: float = 5.0
    """Seconds that `finish` may take once the request is cancelled."""

    def __init__(self, request: RequestT, client_address: Any, server: ServerT) -> None:
        self.request = request
        self.client_address = client_address
        self.server = server

    if not TYPE_CHECKING:

        def __class_getitem__(cls, params: Any) -> Any:
            # Checkers know that the second parameter has a default; type variables of the interpreter have
            # defaults from 3.13 on only, and before that ``BaseRequestHandler[str]`` would be an error.
            if cls is BaseRequestHandler and not isinstance(params, tuple):
                params = (params, Any)
            return super().__class_getitem__(params)

    def __await__(self) -> Generator[Any, Any, None]:
        return self._serve().__await__()

    def _in_short(self) -> Awaitable[None]:
        """What awaiting the handler comes to, for the server to await: an object less for each connection."""
        return self._serve() if type(self).__await__ is BaseRequestHandler.__await__ else self

    def _serve(self) -> Coroutine[Any, Any, None]:
        return self._serve_in_steps()

    async def _serve_in_steps(self) -> None:
        await self.setup()
        try:
            await self.handle()
        finally:
            if self._has_to_finish():
                await self._finish_shielded()

    async def _finish_shielded(self) -> None:
        """Call `finish`, shielded; once the request is cancelled it has ``finish_timeout`` left."""
        error: BaseException | None = None
        shield = trio.CancelScope(shield=True)
        try:
            # A task outside of the shield feels the cancellation, be it there or come while `finish` runs.
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._limit, shield, name="trioserver: finish_timeout")
                try:
                    with shield:
                        await self.finish()
                except BaseException as exc:
                    error = exc  # out of the nursery's reach, which would make it a group
                if shield.cancel_called and (record := self.server.current_request()) is not None:
                    record.note_timeout(Timeout.FINISH)
                nursery.cancel_scope.cancel()
        finally:
            if error is not None:  # also where the nursery raises the cancellation (P4)
                try:
                    raise error
                finally:
                    del error

    async def _limit(self, shield: trio.CancelScope) -> None:
        try:
            await trio.sleep_forever()
        finally:
            shield.deadline = trio.current_time() + self.finish_timeout

    @property
    def timeouts(self) -> tuple[Timeout, ...]:
        """Which timeouts of this request have fired so far, in order, each once: for `finish` to look at.

        Only where the request is served; a task that outlives it sees none.
        """
        record = self.server.current_request()
        return record.timeouts if record is not None else ()

    def _has_to_finish(self) -> bool:
        """Whether `finish` does anything: if not, one need not find out how to call it."""
        return type(self).finish is not BaseRequestHandler.finish

    async def setup(self) -> None:
        """Called before `handle`. Nothing by default. If it raises, the others are not called."""

    async def handle(self) -> None:
        """Serve the request. Nothing by default."""

    async def finish(self) -> None:
        """Called after `handle` if `setup` succeeded, whether `handle` returned or raised.

        Nothing by default. It is shielded from a cancellation of the request, and has ``finish_timeout``
        seconds from then on. If `handle` raised, what this raises is raised instead, with the other one as
        its context.
        """
