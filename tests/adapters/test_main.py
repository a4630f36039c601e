"""``python -m trioserver_adapters``: a program runs on us as it is, and finds all else as without us."""

from __future__ import annotations

import json
import os
import py_compile
import re
import signal
import subprocess
import sys
import urllib.request
import zipfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND = ["-m", "trioserver_adapters"]

# What a program can see of how it was started, before it has imported anything that we might have.
PROBE = '''
"""A docstring."""
import sys
names = sorted(globals())
main = vars(sys.modules["__main__"])
seen = {"argv": sys.argv, "path": sys.path, "names": names, "name": __name__, "package": __package__,
    "doc": __doc__, "file": main.get("__file__"), "cached": main.get("__cached__"),
    "loader": repr(__loader__)[:30], "spec": __spec__ and __spec__.name, "builtins": str(__builtins__),
    "globals": main is globals()}
def annotated(argument: int): ...
seen["annotations"] = str(annotated.__annotations__)
import atexit, json, pickle, threading
class Mine: ...
def after():
    seen["later"] = [type(pickle.loads(pickle.dumps(Mine()))) is Mine, __name__]
thread = threading.Thread(target=lambda: (threading.main_thread().join(), after()))
thread.start()
atexit.register(lambda: (thread.join(), print(json.dumps(seen))))
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the program in every form that Python runs."""
    (tmp_path / "here" / "deep").mkdir(parents=True)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    paths = ("probe.py", "here/probe.py", "package/__main__.py", "package/module.py", "here/__main__.py")
    for path in paths:
        (tmp_path / path).write_text(PROBE)
    (tmp_path / "here" / "deep" / "link.py").symlink_to("../probe.py")
    with zipfile.ZipFile(tmp_path / "program.zip", "w") as archive:
        archive.writestr("__main__.py", PROBE)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.py").write_text("def")
    py_compile.compile(str(tmp_path / "probe.py"), str(tmp_path / "compiled.pyc"))
    return tmp_path


def environment(**changes: str) -> dict[str, str]:
    """Ours, with the current folder on the path of programs, whatever the tests themselves run with."""
    ours = {
        name: value for name, value in os.environ.items() if name not in {"PYTHONSAFEPATH", "PYTHONINSPECT"}
    }
    return ours | changes


def run_all(
    folder: Path, *commands: list[str], text: str = "", **changes: str
) -> list[subprocess.CompletedProcess[str]]:
    """Run Python to its end, with each of these command lines at once: imports take their time."""
    processes = [
        subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env=environment(**changes),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for command in commands
    ]
    try:
        outputs = [process.communicate(text, timeout=20) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [
        subprocess.CompletedProcess(process.args, process.returncode, *output)
        for process, output in zip(processes, outputs, strict=True)
    ]


def run(folder: Path, *arguments: str, text: str = "", **changes: str) -> subprocess.CompletedProcess[str]:
    """Run Python to its end."""
    (done,) = run_all(folder, list(arguments), text=text, **changes)
    return done


def run_both(folder: Path, program: list[str], *options: str) -> list[subprocess.CompletedProcess[str]]:
    """Run a program without us, and with us."""
    return run_all(folder, [*options, *program], [*options, *COMMAND, *program])


@pytest.mark.parametrize(
    "program",
    [
        ["./probe.py", "-m", "--help"],
        ["here/../here/probe.py", "a b"],
        ["here/deep/link.py"],
        ["compiled.pyc"],
        ["./here/"],
        ["program.zip", "a"],
        ["-mprobe", "-m", "x"],
        ["-m", "package", "-c", "x"],
        ["-c", PROBE, "-c", "x"],
        [f"-c{PROBE}"],
    ],
    ids=lambda program: " ".join(program).replace(PROBE, "PROBE"),
)
def test_program_when_run_by_us_then_sees_what_it_sees_without_us(folder: Path, program: list[str]) -> None:
    """Arguments, paths, ``__main__`` and what is in it, also in threads and at exit, after the last line."""
    plain, ours = run_both(folder, program)
    assert (plain.returncode, plain.stderr) == (0, "")
    assert (ours.returncode, ours.stderr) == (0, "")
    assert json.loads(plain.stdout) == json.loads(ours.stdout)
    assert json.loads(ours.stdout)["later"] == [True, "__main__"]


@pytest.mark.parametrize("program", [["probe.py"], ["here"], ["-c", PROBE]], ids=["file", "folder", "code"])
def test_program_when_safe_paths_are_asked_for_then_gets_no_other_paths(
    folder: Path, program: list[str]
) -> None:
    """Without the folder of the program in front there is nothing that could be replaced by another."""
    plain, ours = run_both(folder, program, "-P")
    assert json.loads(plain.stdout) == json.loads(ours.stdout)


def test_program_when_an_absolute_path_is_given_then_finds_it_as_it_is(folder: Path) -> None:
    """In ``__file__`` and ``sys.argv``."""
    path = str(folder / "here" / ".." / "probe.py")
    plain, ours = run_both(folder, [path])
    assert json.loads(plain.stdout) == json.loads(ours.stdout)


ENDINGS = [
    ["-c", "import sys; sys.exit(3)"],
    ["-c", "import sys; sys.exit('a message')"],
    ["-c", "1 / 0"],
    ["-c", "def"],
    ["-c", "raise KeyboardInterrupt"],
    ["-c", "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('not reached')"],
    ["broken.py"],
    ["./nosuch.py"],
    ["empty"],
    ["-m", "nosuch"],
    ["-m", "empty"],
    ["-m", "package.nosuch"],
]


@pytest.mark.parametrize("program", ENDINGS, ids=" ".join)
def test_program_when_it_fails_then_ends_as_it_does_without_us(folder: Path, program: list[str]) -> None:
    """The same exit code or signal, the same last line on stderr; a traceback may be longer."""
    plain, ours = run_both(folder, program)
    assert plain.returncode != 0
    assert (plain.returncode, plain.stdout) == (ours.returncode, ours.stdout)
    assert plain.stderr.splitlines()[-1:] == ours.stderr.splitlines()[-1:]


def test_program_when_asked_to_be_inspected_then_its_names_are_there(folder: Path) -> None:
    """``python -i`` goes on in the program's ``__main__``, and not in ours."""
    done = run(folder, "-i", *COMMAND, "-c", "answer = 6 * 7", text="print(answer, __name__)\n")
    assert done.stdout == "42 __main__\n"


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_then_is_printed(folder: Path, option: str) -> None:
    """On stdout, with exit code 0, and it names the three kinds of programs."""
    done = run(folder, *COMMAND, option)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"usage: .*-m MODULE \| -c CODE \| SCRIPT", done.stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage: python -m trioserver_adapters "),
        (["-m"], "argument expected for the -m option"),
        (["-c"], "argument expected for the -c option"),
        (["-x", "probe.py"], "unknown option: -x"),
    ],
    ids=" ".join,
)
def test_command_line_when_it_names_no_program_then_prints_the_usage(
    folder: Path, arguments: list[str], message: str
) -> None:
    """On stderr, with Python's own exit code for it."""
    done = run(folder, *COMMAND, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: ")
    assert done.stderr.splitlines()[-1].startswith(message)


def test_program_then_finds_nothing_imported_but_what_our_module_needs(folder: Path) -> None:
    """No servers of the standard library, which would have the old module, and nothing for a command line."""
    listing = "import sys; print(*sorted(sys.modules))"
    needed = "import runpy, trioserver_adapters.socketserver, " + listing.removeprefix("import ")
    outputs = run_all(folder, ["-c", listing], ["-c", needed], [*COMMAND, "-c", listing])
    plain, allowed, ours = (set(done.stdout.split()) for done in outputs)
    extra = ours - plain
    assert (
        extra - allowed
        == {"pkgutil", "socketserver", "trioserver_adapters.replace", "zipimport"} - allowed - plain
    )
    assert extra.isdisjoint({"argparse", "http.server", "logging.config", "multiprocessing", "xmlrpc.server"})


def test_program_when_it_imports_socketserver_then_gets_ours(folder: Path) -> None:
    """So do the standard library's servers; the classes go by the module's name, in pickles too."""
    code = (
        "import http.server, pickle, socketserver, sys, wsgiref.simple_server, xmlrpc.server\n"
        "from trioserver_adapters import socketserver as ours\n"
        "assert socketserver is ours\n"
        "assert issubclass(http.server.HTTPServer, ours.TCPServer)\n"
        "assert issubclass(wsgiref.simple_server.WSGIServer, ours.TCPServer)\n"
        "assert issubclass(xmlrpc.server.SimpleXMLRPCServer, ours.TCPServer)\n"
        "for name in ours.__all__:\n"
        "    assert getattr(ours, name).__module__ == 'socketserver', name\n"
        "assert pickle.loads(pickle.dumps(ours.ThreadingTCPServer)) is ours.ThreadingTCPServer\n"
        "from trioserver_adapters.replace import replace_socketserver\n"
        "replace_socketserver()\n"
        "assert sys.modules['socketserver'] is ours\n"
    )
    done = run(folder, *COMMAND, "-c", code)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("import http.server, xmlrpc.server", "http.server, xmlrpc.server"),
        ("import socketserver as s", "__main__"),
        ("from socketserver import TCPServer as s", "__main__"),
        ("import socketserver\nclass Own(socketserver.TCPServer): ...\ndel socketserver", "__main__"),
        ("import socketserver\ns = socketserver.ThreadingMixIn()\ndel socketserver", "__main__"),
    ],
    ids=["modules", "the module", "a class", "a derived class", "an instance"],
)
def test_replace_when_something_has_the_old_module_then_says_what(
    folder: Path, before: str, expected: str
) -> None:
    """It would keep it; so nothing is replaced."""
    code = (
        f"{before}\n"
        "import sys\n"
        "old = sys.modules['socketserver'].__file__\n"
        "from trioserver_adapters.replace import replace_socketserver\n"
        "try:\n"
        "    replace_socketserver()\n"
        "except RuntimeError as error:\n"
        "    print(error)\n"
        "assert sys.modules['socketserver'].__file__ == old\n"
    )
    done = run(folder, "-c", code)
    assert done.stderr == ""
    assert f"is in use by {expected}; replace_socketserver() has to be called before" in done.stdout


def test_replace_when_nobody_has_kept_the_old_module_then_replaces_it(folder: Path) -> None:
    """That it was imported once does no harm; a proxy that wakes up when looked at is left asleep."""
    code = (
        "import socketserver, sys\n"
        "del socketserver\n"
        "class Proxy:\n"
        "    @property\n"
        "    def __class__(self): raise LookupError\n"
        "proxy = Proxy()\n"
        "from trioserver_adapters.replace import replace_socketserver\n"
        "replace_socketserver()\n"
        "import socketserver\n"
        "print(socketserver.__name__)\n"
    )
    done = run(folder, "-c", code)
    assert (done.stdout, done.stderr) == ("trioserver_adapters.socketserver\n", "")


def test_program_when_something_was_imported_before_us_then_says_so_in_one_line(folder: Path) -> None:
    """As by a ``sitecustomize`` that starts a server for a debugger."""
    (folder / "sitecustomize.py").write_text("from http.server import HTTPServer")
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    done = run(folder, *COMMAND, "-c", "", PYTHONPATH=path)
    assert done.returncode == 1
    assert re.fullmatch(r"trioserver_adapters: too late .* http\.server, sitecustomize; .*\n", done.stderr)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_child_process_when_the_program_replaces_then_has_ours_as_well(folder: Path, method: str) -> None:
    """The two lines at the top of the program are run by the children that import it."""
    code = (
        "from trioserver_adapters.replace import replace_socketserver\n"
        "replace_socketserver()\n"
        "import multiprocessing, socketserver\n"
        "def child(queue):\n"
        "    queue.put(socketserver.__name__)\n"
        "if __name__ == '__main__':\n"
        f"    context = multiprocessing.get_context({method!r})\n"
        "    queue = context.SimpleQueue()\n"
        "    process = context.Process(target=child, args=(queue,))\n"
        "    process.start()\n"
        "    print(queue.get())\n"
        "    process.join()\n"
    )
    (folder / "parent.py").write_text(code)
    done = run(folder, "parent.py")
    assert (done.stdout, done.stderr) == ("trioserver_adapters.socketserver\n", "")


@pytest.fixture
def served(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """``-m http.server`` as it is, on a port that the system chooses; killed if it still runs in the end."""
    command = [sys.executable, "-u", *COMMAND, "-m", "http.server", "--bind", "127.0.0.1", "0"]
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_http_server_when_run_by_us_then_serves_and_stops_as_ever(
    served: subprocess.Popen[str], folder: Path
) -> None:
    """A request is answered with the file; Ctrl-C ends it with its own message and exit code."""
    assert served.stdout is not None
    assert served.stderr is not None
    match = re.search(r"http://127\.0\.0\.1:(\d+)/", served.stdout.readline())
    assert match is not None
    (folder / "file.txt").write_text("hello")
    with urllib.request.urlopen(f"http://127.0.0.1:{match[1]}/file.txt", timeout=10) as response:
        assert (response.status, response.read()) == (200, b"hello")
    assert '"GET /file.txt HTTP/1.1" 200' in served.stderr.readline()
    served.send_signal(signal.SIGINT)
    output, errors = served.communicate(timeout=10)
    assert (output, errors, served.returncode) == ("\nKeyboard interrupt received, exiting.\n", "", 0)
