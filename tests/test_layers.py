"""The layers of the package: imports go down only, never up, sideways or in a circle.

The rules are read off the source, not off a running import, so that an import inside a function or
under ``if TYPE_CHECKING`` counts as well: a type that comes from above is a dependency from above.
"""

from __future__ import annotations

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent

# Bottom up. A part may import those above it in this table, itself, and no other.
LAYERS = (
    {"_vocabulary"},  # L0
    {"_transports"},  # L1
    {"_engine"},  # L2
    {"_servers"},  # L3
    {"_handlers"},  # L3, on top of the servers, which know handlers by what they call
    {"_workers"},  # L3, processes with a server each
    {"testing", "_cli"},  # L4, side by side
    {"__main__"},
)
RANKS = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}
USERS_OF_THE_PUBLIC_FACE = {"testing", "_cli", "__main__"}
FORBIDDEN_IN_VOCABULARY = {"trio", "socket"}
OURS = {"trioserver", "trioserver_adapters"}
# What an `import` may name besides our own packages, in any module.
INSTALLED = {"trio"} | sys.stdlib_module_names
# What one module alone may import: it is for those who have that, and nothing of ours imports it.
INSTALLED_FOR = {"trioserver.testing.pytest_plugin": {"pytest"}}
# What a checker brings along itself, so that it may be named where only a checker looks.
KNOWN_TO_CHECKERS = {"typing_extensions", "_typeshed"}


class Import(NamedTuple):
    """``target`` is what is named, absolute: ``from a.b import c`` names ``a.b.c``."""

    module: str
    line: int
    target: str
    for_checkers: bool
    """Whether it stands under ``if TYPE_CHECKING``, where it is never run."""


Sources = dict[str, str]
"""Source texts by full module name; a package goes by its own name, with ``.__init__`` appended."""


def read_sources() -> Sources:
    """The project's modules."""
    sources: Sources = {}
    for base, package in ((ROOT, "trioserver"), (ROOT / "adapters", "trioserver_adapters")):
        for path in sorted((base / package).rglob("*.py")):
            name = ".".join(path.relative_to(base).with_suffix("").parts)
            sources[name] = path.read_text(encoding="utf-8")
    return sources


def targets_of(module: str, node: ast.AST) -> list[str]:
    """What one node imports, or the ``trio._something`` that it uses."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = module.split(".")[: -node.level] if node.level else []
        base += [node.module] if node.module else []
        return [".".join([*base, alias.name]) for alias in node.names]
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        private = node.value.id == "trio" and node.attr.startswith("_")
        return [f"trio.{node.attr}"] if private else []
    return []


def imports_of(module: str, source: str) -> list[Import]:
    """Every import in a module, wherever in it."""
    nodes = list(ast.walk(ast.parse(source)))
    for_checkers = {
        inner
        for node in nodes
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    return [
        Import(module, getattr(node, "lineno", 0), target, node in for_checkers)
        for node in nodes
        for target in targets_of(module, node)
    ]


def resolve(target: str, sources: Sources) -> str | None:
    """The module of ours that has to be loaded for ``target``, if it is one of ours."""
    parts = target.split(".")
    if parts[0] not in OURS:
        return None
    for end in range(len(parts), 0, -1):
        name = ".".join(parts[:end])
        for module in (name, f"{name}.__init__"):
            if module in sources:
                return module
    return target


def part_of(module: str) -> str:
    """The part of the package that a module belongs to, a key of ``RANKS``."""
    return module.split(".")[1]


def public_names(sources: Sources) -> set[str]:
    """What ``trioserver/__init__.py`` re-exports."""
    tree = ast.parse(sources["trioserver.__init__"])
    return {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname is not None and not alias.asname.startswith("_")
    }


def fault_in_core(entry: Import, target: str, sources: Sources) -> str | None:
    """What is wrong with a module of ``trioserver`` importing one of ours."""
    here, there = part_of(entry.module), part_of(target)
    if target.startswith("trioserver_adapters"):
        return "the core does not know its adapters"
    if here == "__init__":
        return None
    if there == "__init__":
        return None if here in USERS_OF_THE_PUBLIC_FACE else "only L4 uses the public face"
    if target not in sources or there not in RANKS:
        return "not a module in the LAYERS table"
    if here != there and RANKS[here] <= RANKS[there]:
        return f"{here} is not above {there}"
    return None


def fault(entry: Import, sources: Sources) -> str | None:
    """What is wrong with one import, if anything is."""
    top, *rest = entry.target.split(".")
    if top == "trio" and rest and rest[0].startswith("_"):
        return "private to trio"
    if entry.module.startswith("trioserver._vocabulary") and top in FORBIDDEN_IN_VOCABULARY:
        return f"L0 imports no {top}"
    target = resolve(entry.target, sources)
    if target is None:
        allowed = INSTALLED | KNOWN_TO_CHECKERS if entry.for_checkers else INSTALLED
        allowed = allowed | INSTALLED_FOR.get(entry.module, set())
        return None if top in allowed else "neither ours, nor trio, nor the standard library"
    if entry.module.startswith("trioserver."):
        return fault_in_core(entry, target, sources)
    if top == "trioserver" and rest and (len(rest) > 1 or rest[0] not in public_names(sources)):
        return "not a public name of trioserver"
    return None


def faults(sources: Sources) -> list[str]:
    """Every import that breaks a rule, and one circle where there are any."""
    found: list[str] = []
    graph: dict[str, set[str]] = {}
    for module, source in sources.items():
        if module.startswith("trioserver.") and part_of(module) not in {"__init__", *RANKS}:
            found.append(f"{module}: not in the LAYERS table")
            continue
        for entry in imports_of(module, source):
            if wrong := fault(entry, sources):
                found.append(f"{module}:{entry.line}: imports {entry.target}: {wrong}")
            target = resolve(entry.target, sources)
            if target not in {None, module, "trioserver.__init__"}:
                graph.setdefault(module, set()).add(str(target))
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append(f"a circle: {' <- '.join(error.args[1])}")
    return found


def test_imports_only_go_down() -> None:
    """No module of the project breaks a rule of the layers."""
    assert faults(read_sources()) == []


GOOD: Sources = {
    "trioserver.__init__": "from ._servers._base import Server as Server",
    "trioserver.__main__": "from trioserver._cli import main",
    "trioserver._cli": "import trioserver",
    "trioserver._engine.__init__": "from ._loop import Loop as Loop",
    "trioserver._engine._loop": "import trio\nfrom .._vocabulary import errors",
    "trioserver._handlers": "from ._servers import _base",
    "trioserver._servers.__init__": "",
    "trioserver._servers._base": "import socket\nif TYPE_CHECKING:\n  import _typeshed",
    "trioserver._vocabulary.__init__": "",
    "trioserver._vocabulary.errors": "import errno",
    "trioserver.testing.__init__": "from trioserver import Server",
    "trioserver.testing.pytest_plugin": "import pytest",
    "trioserver_adapters.__init__": "",
    "trioserver_adapters.one": "import socket\nfrom trioserver import Server\nfrom . import two",
    "trioserver_adapters.two": "import trio\nimport trioserver",
}


def test_a_tree_that_keeps_the_rules_has_no_faults() -> None:
    """The rules allow what the design allows."""
    assert faults(GOOD) == []


@pytest.mark.parametrize(
    ("module", "line", "expected"),
    [
        ("trioserver._engine._loop", "from .._servers import _base", "_engine is not above"),
        ("trioserver._servers._base", "if 1:\n  import trioserver._handlers", "is not above"),
        ("trioserver._cli", "def f() -> None:\n  import trioserver.testing", "_cli is not above"),
        ("trioserver._engine._loop", "from . import Loop", "a circle"),
        ("trioserver_adapters.two", "from .one import x", "a circle"),
        ("trioserver._engine._loop", "import trioserver", "only L4"),
        ("trioserver._engine._loop", "from trioserver import Server", "only L4"),
        ("trioserver._engine._loop", "from .. import Server", "only L4"),
        ("trioserver._vocabulary.errors", "import trio", "L0 imports no trio"),
        ("trioserver._vocabulary.errors", "from socket import AF_INET", "L0 imports no socket"),
        ("trioserver._cli", "import trioserver_adapters.one", "does not know its adapters"),
        ("trioserver_adapters.one", "import trioserver._engine", "not a public name"),
        ("trioserver_adapters.one", "from trioserver import _engine", "not a public name"),
        ("trioserver_adapters.one", "from trioserver._engine import Loop", "not a public name"),
        ("trioserver._engine._loop", "from trio._core import run", "private to trio"),
        ("trioserver._engine._loop", "trio._core.run()", "private to trio"),
        ("trioserver._engine._loop", "import attrs", "neither ours"),
        ("trioserver.testing.__init__", "import pytest", "neither ours"),
        ("trioserver._engine._loop", "import typing_extensions", "neither ours"),
        ("trioserver._engine._loop", "if TYPE_CHECKING:\n  import attrs", "neither ours"),
        ("trioserver._engine._loop", "if TYPE_CHECKING:\n  from .._handlers import x", "not above"),
        ("trioserver._odd", "", "not in the LAYERS table"),
    ],
)
def test_a_planted_fault_is_found(module: str, line: str, expected: str) -> None:
    """Each rule notices the import it is there for."""
    planted = {**GOOD, module: f"{GOOD.get(module, '')}\n{line}"}
    found = faults(planted)
    assert any(expected in message for message in found), found
