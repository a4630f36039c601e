"""What runs in a process of `_processes`: it is told a seed, runs it, and answers how that ended."""

from __future__ import annotations

import os
import pickle
import queue
import struct
import threading
from typing import IO, Any, NamedTuple

from trioserver import ConfigError

from ._attempts import attempt
from ._targets import load

LENGTH = struct.Struct("<Q")


class Order(NamedTuple):
    """What to run."""

    name: str
    """See ``_targets.load``."""
    args: tuple[Any, ...]
    seed: int
    with_log: bool


class Refused(NamedTuple):
    """The answer when the function, or its arguments, can not be loaded here."""

    reason: str


def write_frame(stream: IO[bytes], message: object) -> None:
    """Send one message."""
    data = pickle.dumps(message)
    stream.write(LENGTH.pack(len(data)) + data)
    stream.flush()


def read_frame(stream: IO[bytes]) -> Any:
    """The next message.

    Raises:
      EOFError: The other side is gone.
    """
    header = stream.read(LENGTH.size)
    if len(header) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(header)
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return pickle.loads(data)


def main() -> None:
    """Take orders from standard input until it ends, and answer on standard output."""
    orders, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What a thousand programs print would only be in the way; the replay of one shows it.
    with open(os.devnull, "r+b") as nothing:
        for fd in (0, 1, 2):
            os.dup2(nothing.fileno(), fd)
    waiting: queue.SimpleQueue[Order | Refused] = queue.SimpleQueue()
    # A thread, so that the end of whoever ordered it also ends a program that never does.
    threading.Thread(target=_read_orders, args=(orders, waiting), daemon=True).start()
    while True:
        write_frame(answers, _answer(waiting.get()))


def _read_orders(orders: IO[bytes], waiting: queue.SimpleQueue[Order | Refused]) -> None:
    while True:
        try:
            waiting.put(read_frame(orders))
        except EOFError:
            os._exit(0)
        except BaseException as error:  # pickle raises whatever a class raises
            waiting.put(Refused(f"an argument can not be unpickled: {type(error).__name__}: {error}"))


def _answer(order: Order | Refused) -> object:
    if isinstance(order, Refused):
        return order
    try:
        function = load(order.name)
        return attempt(function, order.args, order.seed, with_log=order.with_log).attempt
    except ConfigError as error:
        return Refused(str(error))
