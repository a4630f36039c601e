"""Imported by each interpreter that the tests here start: writes down which socketserver is at work.

A line for each socket that is bound or connected, each thread and each child process that is started with a
``socketserver`` on the stack: the audit event, and the module that it is. Nothing is imported or changed that
the program could notice.
"""

from __future__ import annotations

import os
import sys

EVENTS = {
    "socket.bind",
    "socket.connect",
    "_thread.start_new_thread",
    "_thread.start_joinable_thread",
    "os.fork",
}
PATH = os.environ["TRIOSERVER_PROGRAMS_WITNESS"]


def witness(event: str, args: object) -> None:
    """An audit hook; one that is called at such an event knows by the stack who is responsible."""
    if event not in EVENTS:
        return
    frame = sys._getframe().f_back
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name == "socketserver" or name.startswith("trioserver_adapters._socketserver."):
            fd = os.open(PATH, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(fd, f"{event} {name}\n".encode())
            os.close(fd)
            return
        frame = frame.f_back


sys.addaudithook(witness)
