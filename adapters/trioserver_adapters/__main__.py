"""``python -m trioserver_adapters``: run a program as it is, with ``socketserver`` replaced by ours.

What stands after it is what would stand after ``python``::

    python -m trioserver_adapters -m http.server 8000
    python -m trioserver_adapters script.py ARGUMENT ...
    python -m trioserver_adapters -c 'import http.server; ...'

The program finds all as without us: its arguments, ``sys.path``, ``__main__`` and ``__file__``, its exit
code, Ctrl-C. Only a traceback begins with the lines of this file. Child processes that ``multiprocessing``
starts by "spawn" or "forkserver" import the standard library's module again; ``trioserver_adapters.replace``
says what to do about it.
"""

from __future__ import annotations

# The program must not find more imported than it has to: no argparse.
import builtins
import io
import os
import runpy
import sys
from importlib.machinery import BuiltinImporter, SourceFileLoader
from pkgutil import get_importer, read_code
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from .replace import replace_socketserver

if TYPE_CHECKING:
    from types import CodeType

USAGE = "usage: python -m trioserver_adapters (-m MODULE | -c CODE | SCRIPT) [ARGUMENT ...]"
HELP = f"""{USAGE}

Run a Python program with the socketserver module replaced by trioserver_adapters.socketserver.

  -m MODULE   run a module or a package, as `python -m MODULE` does
  -c CODE     run the code, as `python -c CODE` does
  SCRIPT      run a file, or a folder or zip file with a __main__.py
  ARGUMENT    what the program finds in sys.argv[1:]
  -h, --help  print this"""


def main() -> None:
    """Replace the module, and become the program that the command line names."""
    match sys.argv[1:]:
        case []:
            fail(USAGE)
        case ["-h" | "--help", *_]:
            print(HELP)
        case ["-m" | "-c" as option]:
            fail(f"{USAGE}\nargument expected for the {option} option")
        case ["-m", name, *arguments]:
            run_module(name, arguments)
        case ["-c", code, *arguments]:
            run_code(code, arguments)
        case [joined, *arguments] if joined.startswith("-m"):
            run_module(joined[2:], arguments)
        case [joined, *arguments] if joined.startswith("-c"):
            run_code(joined[2:], arguments)
        case [option, *_] if option.startswith("-"):
            fail(f"{USAGE}\nunknown option: {option}")
        case [path, *arguments]:
            run_path(path, arguments)


def fail(message: str) -> NoReturn:
    """End with the exit code that ``python`` has for a command line that makes no sense."""
    print(message, file=sys.stderr)
    sys.exit(2)


def become_main(argv: list[str], **names: Any) -> dict[str, Any]:
    """Give the program its arguments, our ``socketserver`` and a ``__main__``; returns the globals of that.

    The module stays in ``sys.modules``, unlike that of ``runpy.run_path()``: threads that go on after the
    program's last line, what runs at exit, and ``python -i`` still find the program there, and pickles its
    classes.
    """
    sys.argv[:] = argv
    try:
        replace_socketserver()
    except RuntimeError as error:
        sys.exit(f"trioserver_adapters: {error}")
    module = ModuleType("__main__")
    # As in every __main__; exec() would put the dictionary there instead of the module.
    vars(module).update(__builtins__=builtins, **names)
    if sys.version_info < (3, 14):
        module.__annotations__ = {}
    sys.modules["__main__"] = module
    return vars(module)


def run_module(name: str, arguments: list[str]) -> None:
    """``python -m``, by the function that the interpreter itself calls for that.

    It is not public, but ``runpy.run_module()`` has no way to leave its module in place, and its errors are
    tracebacks.
    """
    become_main(["-m", *arguments])
    runpy._run_module_as_main(name)  # type: ignore[attr-defined]


def run_code(code: str, arguments: list[str]) -> None:
    """``python -c``."""
    variables = become_main(["-c", *arguments], __loader__=BuiltinImporter)
    set_first_path("")
    if sys.version_info >= (3, 14):
        from textwrap import dedent

        code = dedent(code)
    # Not with the future statements of this file.
    exec(compile(code, "<string>", "exec", dont_inherit=True), variables)


def run_path(path: str, arguments: list[str]) -> None:
    """``python SCRIPT``: a file, a compiled file, a folder or a zip file."""
    # As the interpreter does it: joined, but neither normalized nor resolved.
    filename = path if os.path.isabs(path) else os.path.join(os.getcwd(), path)
    if get_importer(filename) is not None:
        become_main([path, *arguments])
        set_first_path(filename, always=True)
        runpy._run_module_as_main("__main__", alter_argv=False)  # type: ignore[attr-defined]
        return
    try:
        code = load(filename)
    except OSError as error:
        fail(f"{sys.executable}: can't open file {filename!r}: [Errno {error.errno}] {error.strerror}")
    loader = SourceFileLoader("__main__", filename)
    variables = become_main([path, *arguments], __file__=filename, __cached__=None, __loader__=loader)
    # Where the file is, not where a symbolic link to it is.
    set_first_path(os.path.dirname(os.path.realpath(path)))
    exec(code, variables)


def load(filename: str) -> CodeType:
    """The code of a script, which may be compiled already."""
    with io.open_code(filename) as file:
        code: CodeType | None = read_code(file)
        if code is None:
            file.seek(0)
            code = compile(file.read(), filename, "exec", dont_inherit=True)
        return code


def set_first_path(path: str, *, always: bool = False) -> None:
    """Let ``path`` take the place of the current folder, which ``python -m`` puts first for us.

    Where safe paths are asked for (``-P``, ``-I``) nothing was put there, and nothing is but a folder or zip
    file to run.
    """
    if not sys.flags.safe_path:
        sys.path[0] = path
    elif always:
        sys.path.insert(0, path)


if __name__ == "__main__":
    main()
