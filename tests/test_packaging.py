"""What the project hands out: the wheel, the sdist, and the metadata in them.

Both are built here as pip would build them, but without isolation, so that no network is needed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from email.message import Message

ROOT = Path(__file__).parent.parent
# Each import package, and the folder it lies in.
PACKAGES = {"trioserver": ROOT, "trioserver_adapters": ROOT / "adapters"}
SDIST_FOLDERS = [".ci", "adapters", "benchmarks", "docs", "examples", "tests", "trioserver"]
SDIST_FILES = {"CHANGELOG.md", "LICENSE", "README.md", "noxfile.py", "pyproject.toml"}
# The build backend adds these itself.
SDIST_ADDED = {"PKG-INFO", ".gitignore"}


def source_files(folder: Path) -> set[Path]:
    """Every file below ``folder`` but what .gitignore keeps out: bytecode and ``build`` folders."""
    return {
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and "build" not in path.relative_to(ROOT).parts
    }


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel and an sdist of this source tree."""
    folder = tmp_path_factory.mktemp("dist")
    # Another process, as the backend works in the current directory and is not ours to keep quiet.
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(folder)],
        cwd=ROOT,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        capture_output=True,
        check=True,
    )
    return folder


@pytest.fixture(scope="session")
def wheel_names(dist: Path) -> set[str]:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="session")
def metadata(dist: Path) -> Message:
    """The wheel's core metadata."""
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(archive.read(name).decode())


def test_wheel_holds_both_packages_and_nothing_else(wheel_names: set[str]) -> None:
    """The wheel's files are the modules, a py.typed for each package, and the dist-info."""
    expected = {f"{package}/py.typed" for package in PACKAGES}
    for package, parent in PACKAGES.items():
        modules = (parent / package).rglob("*.py")
        expected |= {path.relative_to(parent).as_posix() for path in modules}
    installed = {name for name in wheel_names if ".dist-info/" not in name}
    assert expected == installed


def test_wheel_carries_its_license_and_no_scripts(wheel_names: set[str]) -> None:
    """The dist-info holds the license text; nothing is put on anybody's PATH, and pytest finds the plugin."""
    info = {name.partition(".dist-info/")[2] for name in wheel_names if name.startswith("trioserver-")}
    assert info == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


def test_sdist_holds_what_a_developer_needs_and_nothing_else(dist: Path) -> None:
    """From the sdist alone one can build, test, lint and read; no cache, no local file is in it."""
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    expected = SDIST_FILES | {
        path.relative_to(ROOT).as_posix() for folder in SDIST_FOLDERS for path in source_files(ROOT / folder)
    }
    assert expected == names - SDIST_ADDED


def test_dependencies_without_extras_are_trio_alone(metadata: Message) -> None:
    """``pip install trioserver`` brings trio and what trio brings."""
    required = metadata.get_all("Requires-Dist", [])
    core = [line for line in required if "extra ==" not in line]
    assert [re.split(r"[^\w.-]", line)[0] for line in core] == ["trio"]


def test_metadata_says_which_python_and_which_license(metadata: Message) -> None:
    """Installers refuse a Python that is too old; license scanners find an SPDX expression."""
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT OR Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE"]


@pytest.mark.parametrize("license_title", ["The MIT License", "The Apache License, Version 2.0"])
def test_license_file_has_both_texts(license_title: str) -> None:
    """Whoever has the LICENSE file has both licenses whole, with no link to follow."""
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert f"\n{license_title}\n" in text
