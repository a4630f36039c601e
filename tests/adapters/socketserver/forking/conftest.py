"""What tests of forking servers need: a journal that parents and children write, and handlers that wait."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from ..kit import HOOKS, SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

if not hasattr(os, "fork"):
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(autouse=True)
def the_stdlib_forks_beside_threads(request: pytest.FixtureRequest, is_ours: bool) -> None:
    """Which Python 3.12 and later warn of."""
    if not is_ours and sys.version_info >= (3, 12):
        request.applymarker(pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"))


class Journal:
    """Lines that several processes write, each with the process's id."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._text = ""

    def note(self, *words: object) -> None:
        """Write a line, in whatever process."""
        os.write(self._writer, f"{os.getpid()} {' '.join(map(str, words))}\n".encode())

    def lines(self) -> list[tuple[int, str]]:
        """All that was written up to now."""
        with contextlib.suppress(BlockingIOError):
            self._text += os.read(self._reader, 1 << 16).decode()
        split = (line.split(" ", 1) for line in self._text.splitlines())
        return [(int(pid), text) for pid, text in split]

    def of_parent(self) -> list[str]:
        """The lines of this process."""
        return [text for pid, text in self.lines() if pid == os.getpid()]

    def of_children(self, ended: int = 1) -> list[str]:
        """The lines of the others; waits until so many have ended."""
        wait_until(lambda: len(self.exits()) >= ended)
        return [text for pid, text in self.lines() if pid != os.getpid()]

    def exits(self) -> list[str]:
        """How children called ``os._exit()``."""
        return [text for _, text in self.lines() if text.startswith("exit")]

    def close(self) -> None:
        """Close both ends."""
        os.close(self._reader)
        os.close(self._writer)


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    """A journal, in which the exits of children are noted as well."""
    journal = Journal()
    leave = os._exit

    def noted_exit(status: int) -> NoReturn:
        journal.note("exit", status)
        leave(status)

    with monkeypatch.context() as patch:
        patch.setattr(os, "_exit", noted_exit)
        yield journal
    journal.close()


@pytest.fixture
def noting(journal: Journal) -> Callable[..., Any]:
    """``noting(cls, **replaced)``: a subclass that notes the calls of its hooks in the journal.

    ``replaced`` are hooks with another body than that of ``cls``.
    """

    def noting(base: Any, **replaced: Callable[..., Any]) -> Any:
        def hook(name: str) -> Callable[..., Any]:
            def method(self: Any, *args: Any) -> Any:
                journal.note(name)
                if name in replaced:
                    return replaced[name](self, *args)
                return getattr(super(cls, self), name)(*args)

            return method

        wanted = set(HOOKS) - {"server_bind", "server_activate", "server_close", "service_actions"}
        cls: Any = type("Noting", (base,), {name: hook(name) for name in wanted if hasattr(base, name)})
        return cls

    return noting


@pytest.fixture
def ready_then_wait() -> Callable[..., None]:
    """A handler that says that it runs, and ends when its client sends something.

    A client can not end it by closing the connection: the child has inherited the client's socket, too. So it
    does not wait for ever.
    """

    def ready_then_wait(request: Any, *args: Any) -> None:
        request.settimeout(2 * SECONDS)  # longer than any test waits
        request.sendall(b"%d" % os.getpid())
        request.recv(1)

    return ready_then_wait
