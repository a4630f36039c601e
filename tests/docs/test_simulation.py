"""The page on the simulated network: its list of differences is that of the parity suite, its names exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trioserver.testing import DNS, Connection, Host, Network

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "simulation.md"
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""

if not TEXT:
    pytest.skip("the pages are not beside the installed package", allow_module_level=True)


def section(title: str) -> str:
    """The text below a title."""
    begin = TEXT.index(f"## {title}\n")
    end = TEXT.find("\n## ", begin)
    return TEXT[begin : end if end >= 0 else None]


def test_the_differences_are_those_of_the_parity_suite() -> None:
    """Each once, in the same words and order."""
    namespace: dict[str, dict[str, str]] = {}
    table = ROOT / "tests" / "testing" / "parity" / "differences.py"
    exec(compile(table.read_text(encoding="utf-8"), table.name, "exec"), namespace)
    listed = [" ".join(item.split()) for item in section("Different from Linux").split("\n- ")[1:]]
    assert listed == list(dict.fromkeys(namespace["DIFFERENCES"].values()))


def test_the_faults_of_the_page_exist() -> None:
    """Under the names that it has."""
    table = section("Faults")
    owners = {"network": Network(0), "host": Host, "connection": Connection}
    named = re.findall(r"\b(network|host|connection)\.(\w+)", table)
    assert len(named) > 10
    assert [(owner, name) for owner, name in named if not hasattr(owners[owner], name)] == []
    assert hasattr(DNS, "fail")


def test_the_links_of_the_pages_lead_somewhere() -> None:
    """To files of the project."""
    for page in (PAGE, PAGE.with_name("testing.md")):
        targets = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
        assert targets
        assert [target for target in targets if not (page.parent / target).exists()] == []
