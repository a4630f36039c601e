"""Check that mypy and pyright both report each deliberate misuse, and nothing else.

A type that accepts too much is a bug no ordinary type check finds: everything still passes. So
``misuses.py`` holds mistakes users make, and each line that must be reported ends in ``# E``, or in
``# E: why`` where it is not plain. Both checkers have to report exactly the marked lines. An
unmarked line that is reported fails too: then the file is wrong in a way it did not mean to be.

Run as ``python tests/types/check_misuses.py [FILE]``; exit code 1 is a disagreement, 2 means that
the check itself could not be made.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tokenize
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MARK = re.compile(r"#\s*E(:.*)?")

Reports = dict[int, list[str]]
"""What a checker says, by line."""


class CheckerFailedError(Exception):
    """A checker gave no verdict; without one neither yes nor no would be honest."""


def marked_lines(path: Path) -> set[int]:
    """Lines with a trailing mark; read by token, so that a string holding one does not count."""
    with path.open("rb") as file:
        return {
            token.start[0]
            for token in tokenize.tokenize(file.readline)
            if token.type == tokenize.COMMENT
            and MARK.fullmatch(token.string)
            and token.line[: token.start[1]].strip()
        }


def run(*command: str) -> str:
    """Run a checker from the root, so that it reads the project's settings; give what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    # 0: nothing found, 1: something found, and printed; the rest is a crash, a file that can not be
    # parsed, or a checker that is not installed.
    if done.returncode not in (0, 1) or (done.returncode == 1 and not done.stdout.strip()):
        raise CheckerFailedError(f"{command[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def add(reports: Reports, path: Path, file: str, line: int, text: str) -> None:
    """Note one report; one about another file means that the check stands on a broken tree."""
    if (ROOT / file).resolve() != path:
        raise CheckerFailedError(f"a report about another file: {file}:{line}: {text}")
    reports.setdefault(line, []).append(text)


def ask_mypy(path: Path) -> Reports:
    """What mypy reports in its strict mode, which the project's settings ask for."""
    reports: Reports = {}
    for text in run("mypy", "--output=json", str(path)).splitlines():
        entry: dict[str, Any] = json.loads(text)
        if entry["severity"] == "error":
            message = f"{entry['message']} [{entry['code']}]"
            add(reports, path, entry["file"], entry["line"], message)
    return reports


def ask_pyright(path: Path) -> Reports:
    """What pyright reports in its standard mode, which is what most editors run.

    The project's own settings exclude the file, so a copy of it is read, under settings of its own.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        copy = folder / path.name
        copy.write_bytes(path.read_bytes())
        extra = [str(ROOT), str(ROOT / "adapters")]
        settings = {"include": ["."], "extraPaths": extra, "typeCheckingMode": "standard"}
        (folder / "pyrightconfig.json").write_text(json.dumps(settings))
        command = ("--project", str(folder), "--pythonpath", sys.executable, "--outputjson")
        answer: dict[str, Any] = json.loads(run("pyright", *command))
    if answer["summary"]["filesAnalyzed"] != 1:
        raise CheckerFailedError(f"pyright did not read {path.name}: {answer['summary']}")
    reports: Reports = {}
    for entry in answer["generalDiagnostics"]:
        if entry["severity"] != "information":
            message = f"{entry['message']} [{entry.get('rule', 'no rule')}]"
            add(reports, copy, entry["file"], entry["range"]["start"]["line"] + 1, message)
    return reports


def complaints(path: Path) -> list[str]:
    """One line for each disagreement between the marks and either checker."""
    marked = marked_lines(path)
    if not marked:
        raise CheckerFailedError(f"{path.name} marks no line with '# E'")
    source = path.read_text(encoding="utf-8").splitlines()
    found: list[str] = []
    for checker, reports in (("mypy", ask_mypy(path)), ("pyright", ask_pyright(path))):
        print(f"{checker} reports {len(reports)} lines, {len(marked)} are marked")
        found += [
            f"{path.name}:{line}: {checker} does not report: {source[line - 1].strip()}"
            for line in sorted(marked - reports.keys())
        ]
        found += [
            f"{path.name}:{line}: {checker} reports an unmarked line: {'; '.join(reports[line])}"
            for line in sorted(reports.keys() - marked)
        ]
    return found


def main() -> int:
    """Check the file named on the command line, ``misuses.py`` where none is."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("misuses.py")
    try:
        found = complaints(path.resolve())
    except (CheckerFailedError, OSError, tokenize.TokenError, SyntaxError, ValueError) as error:
        print(f"could not check {path}: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    print("\n".join(found) or "both report exactly the marked lines")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
