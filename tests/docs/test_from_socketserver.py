"""The page "from socketserver to trioserver": complete, and true in its names."""

from __future__ import annotations

import builtins
import inspect
import json
import keyword
import re
import socket
import socketserver
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

import trioserver

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[2] / "docs" / "from-socketserver.md"
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
API: dict[str, Any] = json.loads(
    Path(__file__).with_name("socketserver_api.json").read_text(encoding="utf-8")
)
HERE = {"same", "async", "different"}

if not TEXT:
    pytest.skip("the pages are not beside the installed package", allow_module_level=True)


class Row:
    """One row of a table of the page."""

    def __init__(self, line: str) -> None:
        self.line = line
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        self.name = cells[0].strip("`")
        self.here, self.what, self.since = (*cells[1:], "", "", "")[:3]


def tables() -> dict[str, dict[str, Row]]:
    """The rows of the tables, by the heading above them (a class, or "The module") and by name."""
    found: dict[str, dict[str, Row]] = {}
    for section in re.split(r"^### ", TEXT, flags=re.MULTILINE)[1:]:
        heading, *lines = section.splitlines()
        rows = [Row(line) for line in lines if line.startswith("| `")]
        names = [row.name for row in rows]
        assert len(names) == len(set(names)), f"{heading}: a name is there twice"
        found[heading.strip("`")] = {row.name: row for row in rows}
    return found


TABLES = tables()


def names_of(cls: str) -> set[str]:
    """What a class defines or gives its instances, in whatever Python."""
    entry = API["classes"][cls]
    return {*entry["own"], *entry["instance"]}


def is_ours_to_name(name: str) -> bool:
    """Whether the interpreter did not put the name there by itself."""
    return not name.startswith("__") or name in {"__init__", "__enter__", "__exit__"}


def classes_of_this_interpreter() -> dict[str, type]:
    """The public classes of the ``socketserver`` that there is now."""
    return {
        name: cls
        for name, cls in inspect.getmembers(socketserver, inspect.isclass)
        if cls.__module__ == "socketserver" and not name.startswith("_")
    }


# Complete.


@pytest.mark.parametrize("cls", sorted(API["classes"]))
def test_every_name_of_every_class_is_in_its_table(cls: str) -> None:
    """Of all versions of Python that the data file knows; a class that adds nothing needs no table."""
    assert cls in TABLES["The module"]
    assert names_of(cls) == set(TABLES.get(cls, {})) - ADDED.get(cls, set())


ADDED = {"BaseServer": {"get_request"}}
"""What the stdlib's documentation has for a class that does not define it."""


def test_every_name_of_the_module_is_in_its_table() -> None:
    """Public and private ones."""
    expected = {*API["classes"], *API["private"], *socketserver.__all__, "__all__", "__version__"}
    assert expected | {"SocketServer", "__module__"} == set(TABLES["The module"])


@pytest.mark.parametrize("cls", sorted(classes_of_this_interpreter()))
def test_every_name_of_the_interpreters_own_module_is_in_its_table(cls: str) -> None:
    """Also where this Python is newer than the data file."""
    assert cls in TABLES["The module"]
    own = {name for name in vars(classes_of_this_interpreter()[cls]) if is_ours_to_name(name)}
    assert own <= set(TABLES.get(cls, {}))


def test_the_data_file_knows_no_less_than_the_interpreter() -> None:
    """A Python with a new name makes this fail: then the file and the page are to be brought up to date."""
    for name, cls in classes_of_this_interpreter().items():
        own = {attribute for attribute in vars(cls) if is_ours_to_name(attribute)}
        assert own <= names_of(name)


def test_attributes_of_instances_are_those_that_instances_have() -> None:
    """What the data file says of them by hand, seen on servers and handlers of this interpreter."""
    seen: dict[str, set[str]] = {}

    def note(instance: object) -> None:
        for cls in type(instance).__mro__:
            seen.setdefault(cls.__name__, set()).update(vars(instance))

    class Stream(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            note(self)

    class Packet(socketserver.DatagramRequestHandler):
        def handle(self) -> None:
            note(self)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Stream) as server:
        with socket.socket() as client:
            client.connect(server.server_address)
            server.handle_request()
        note(server)
    with socketserver.UDPServer(("127.0.0.1", 0), Packet) as datagrams:
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", datagrams.server_address)
            datagrams.handle_request()
    for cls, entry in API["classes"].items():
        if cls not in {"ForkingMixIn"}:  # active_children is there once a child was
            assert set(entry["instance"]) <= seen.get(cls, set())


def test_every_row_says_same_async_or_different_and_why() -> None:
    """And only a *different* one needs an explanation."""
    for rows in TABLES.values():
        for row in rows.values():
            assert row.here in HERE, row.line
            assert row.what or row.here != "different", row.line


@pytest.mark.parametrize("cls", sorted(set(TABLES) - {"The module"}))
def test_every_row_says_since_when_the_name_is_there(cls: str) -> None:
    """Consistent with what the data file knows: not in the last version without it, in the first with it."""
    versions = API["versions"]
    for name, there in API["classes"][cls]["own"].items():
        since = TABLES[cls][name].since
        first = versions.index(there[0])
        if first == 0:
            assert since == ""
        else:
            assert number(versions[first - 1]) < number(since) <= number(there[0]), f"{cls}.{name}: {since}"


def number(version: str) -> tuple[int, ...]:
    """A version, to be compared."""
    return tuple(int(part) for part in version.split("."))


# True.

OUTSIDE = {
    "trio",
    "AF_INET",
    "AF_UNIX",
    "BytesIO",
    "SocketServer",
    "importlib.metadata.version",
    "logging.basicConfig",
    "socketserver",
    "sys.exc_info",
    "waitpid",
}
"""Names in the page that are neither trioserver's nor socketserver's nor built in."""

VARIABLES = {
    "self": (trioserver.StreamRequestHandler,),
    "server": (trioserver.BaseServer,),
    "request": (trioserver.RequestStream, trioserver.Datagram),
    "socket": (trioserver.DatagramSocket,),
}
"""What the page calls by these names."""

SYNTAX = {"async", "async def", "async with", "await", "def", "import *", "import trioserver"}


def spans() -> Iterator[str]:
    """What is in backticks, outside of the blocks of code."""
    text = re.sub(r"^```.*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    return (match.group(1) for match in re.finditer(r"`([^`]+)`", text))


def public_classes() -> list[type]:
    """trioserver's."""
    return [
        cls for name, cls in vars(trioserver).items() if not name.startswith("_") and inspect.isclass(cls)
    ]


@cache
def parameters() -> set[str]:
    """The names of all parameters of public methods: arguments that the page speaks of."""
    found: set[str] = set()
    for cls in public_classes():
        for _, function in inspect.getmembers(cls, inspect.isfunction):
            found |= set(inspect.signature(function).parameters)
    return found


def exists(name: str) -> bool:
    """Whether a name, or a dotted one, is there: in trioserver, in one of its classes, or in Python."""
    if name in OUTSIDE or hasattr(builtins, name) or name in parameters():
        return True
    head, *rest = name.split(".")
    if head in VARIABLES and rest:
        return any(all_there(cls, rest) for cls in VARIABLES[head]) or exists(".".join(rest))
    if head in {"trioserver", "socketserver"} and not rest:
        return True
    if head == "trio":
        return all_there(trio, rest)
    here: list[Any] = [trioserver, *public_classes()]
    for found in (getattr(owner, head) for owner in here if hasattr(owner, head)):
        if all_there(found, rest):
            return True
    annotated = any(head in getattr(cls, "__annotations__", {}) for cls in public_classes())
    return annotated and (not rest or exists(rest[-1]))


def all_there(value: Any, names: list[str]) -> bool:
    """Whether an attribute of an attribute is there."""
    for name in names:
        if not hasattr(value, name):
            return False
        value = getattr(value, name)
    return True


def test_every_name_that_the_page_mentions_exists() -> None:
    """In trioserver, that is, unless it is the name of a row: those are the stdlib's."""
    stdlib = {name for rows in TABLES.values() for name in rows}
    wrong = []
    for span in spans():
        if span in stdlib or span in SYNTAX:
            continue
        for name in re.findall(r"(?<![\w.\"'])[A-Za-z_][\w.]*", re.sub(r"\".*?\"", "", span)):
            known = name in stdlib or keyword.iskeyword(name) or name in {"line", "data", "address"}
            if not known and not exists(name.rstrip(".")):
                wrong.append((span, name))
    assert wrong == []


def served_as(cls: str) -> Any:
    """Our class; for a mix-in a server that has it, since that is what programs see."""
    return getattr(trioserver, cls.replace("MixIn", "TCPServer"))


@pytest.mark.parametrize("cls", sorted(set(TABLES) - {"The module"}))
def test_a_row_that_says_same_or_async_is_of_a_name_that_there_is(cls: str) -> None:
    """And an async one is a method."""
    ours = served_as(cls)
    for row in TABLES[cls].values():
        if row.here == "async":
            assert callable(getattr(ours, row.name)), row.line
        elif row.here == "same":
            assert hasattr(ours, row.name) or row.name in ATTRIBUTES[cls], row.line


ATTRIBUTES = {
    "BaseServer": {"server_address"},
    "BaseRequestHandler": {"client_address", "server"},
    "DatagramRequestHandler": {"packet", "rfile", "wfile"},
}
"""What instances get at run time."""


@pytest.mark.parametrize("cls", sorted(set(TABLES) - {"The module"}))
def test_a_default_that_is_the_same_is_the_same(cls: str) -> None:
    """Of class variables; and one that is not is *different*."""
    ours, theirs = served_as(cls), getattr(socketserver, cls, None)
    for row in TABLES[cls].values():
        default = getattr(theirs, row.name, None)
        if isinstance(default, (int, type(None))) and theirs is not None and hasattr(theirs, row.name):
            same = hasattr(ours, row.name) and getattr(ours, row.name) == default
            assert same or row.here == "different", row.line
            assert row.here != "async", row.line
