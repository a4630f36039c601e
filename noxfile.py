"""Every check of the project: ``pip install nox``, then ``nox`` or ``nox -s SESSION``.

Nox is all that has to be there; each session installs what it needs into an environment of its own.
A plain ``nox`` runs what a change should pass before it is proposed; ``nox -l`` lists the rest.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["tests", "lint", "types", "wheel"]
# An interpreter that this machine lacks is skipped with a message, under CI too (there nox's own
# default is an error), and never downloaded: what was tested must not depend on the network.
nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"

ROOT = Path(__file__).parent
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
PROJECT = nox.project.load_toml("pyproject.toml")["project"]
# Built on socketserver or http.server, each in a way of its own; the last two are what their tests need.
PROGRAMS = [
    "bottle",
    "dnslib",
    "django",
    "fakeredis",
    "flask",
    "jsonrpclib-pelix",
    "prometheus-client",
    "pymodbus<3",  # the last that has synchronous servers
    "pynetdicom",
    "python-osc",
    "radicale",
    "rangehttpserver",
    "robotremoteserver",
    "uploadserver",
    "websocket-server",
    "wsgidav",
    "cryptography",  # with which Flask makes its own certificates
    "websocket-client",
]


def build(session: nox.Session) -> Path:
    """Build sdist and wheel, the wheel from the sdist, so that a file missing there is noticed."""
    dist = Path(session.create_tmp()).resolve() / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.install("build")
    session.run("python", "-m", "build", "--outdir", str(dist), str(ROOT), silent=True)
    (wheel,) = dist.glob("*.whl")
    session.log(f"built {', '.join(sorted(path.name for path in dist.iterdir()))}")
    return wheel


def install_wheel(session: nox.Session, wheel: Path, extras: str = "") -> None:
    """Install the wheel, also over an older build of the same version in a reused environment."""
    session.install("--force-reinstall", f"trioserver{extras} @ {wheel.as_uri()}")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the suite on each interpreter from 3.11 to 3.14 that is installed here."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """Run the suite against the built wheel, with nothing imported from the checkout."""
    install_wheel(session, build(session), "[test]")
    # Without it the folder that pytest starts in, the checkout, comes before site-packages.
    env = {"PYTHONSAFEPATH": "1"}
    code = (
        "import sys, trioserver, trioserver_adapters\n"
        "for package in (trioserver, trioserver_adapters):\n"
        "    assert package.__file__.startswith(sys.prefix), package.__file__\n"
    )
    session.run("python", "-c", code, env=env, silent=True)
    session.run("python", "-m", "pytest", *session.posargs, env=env)


@nox.session
def oldest(session: nox.Session) -> None:
    """Run the suite against the lowest trio that the project says it supports."""
    (bound,) = (re.fullmatch(r"trio>=([\d.]+)", dep) for dep in PROJECT["dependencies"])
    assert bound is not None, "the dependency on trio is no longer one lower bound"
    session.install("-e", ".[test]", f"trio=={bound[1]}")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python=PYTHONS)
def conformance(session: nox.Session) -> None:
    """Run CPython's own suites with our socketserver, on each interpreter: what passes there has to pass."""
    session.install("-e", ".")
    session.run("python", "-m", "tests.conformance", *session.posargs)


@nox.session
def programs(session: nox.Session) -> None:
    """Run third-party programs, unmodified, on our socketserver; elsewhere these tests are skipped."""
    session.install("-e", ".[test]", *PROGRAMS)
    env = {"TRIOSERVER_REQUIRE_PROGRAMS": "1"}
    session.run("python", "-m", "pytest", "tests/programs", *session.posargs, env=env)


@nox.session(python=PYTHONS)
def determinism(session: nox.Session) -> None:
    """Run 1,000 seeds, or ``--seeds N``, twice, with different ``PYTHONHASHSEED``: the logs must be equal."""
    session.install("-e", ".")
    keep = Path(session.cache_dir).resolve() / "determinism"  # for the sessions of other interpreters
    session.run("python", "-m", "tests.testing.determinism", "--keep", str(keep), *session.posargs)


@nox.session
def fire(session: nox.Session) -> None:
    """Put every native server under fire, with 10,000 seeds or ``--seeds FIRST:END``."""
    session.install("-e", ".")
    seeds = session.posargs or ["--seeds", "0:10000"]
    scenario = "tests.testing.under_fire.scenario:main"
    session.run("python", "-m", "trioserver.testing", "explore", scenario, *seeds)


@nox.session
def planted(session: nox.Session) -> None:
    """Plant faults into the servers, one at a time; each must be found within 1,000 seeds under fire."""
    session.install("-e", ".")
    session.run("python", "-m", "tests.testing.under_fire.planted", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure ours beside all others, for 25 minutes, and write docs/performance*; ``-- --quick`` for two."""
    session.install("-e", ".", "anyio", "gevent", "trustme", "uvloop")
    if "--quick" not in session.posargs:
        session.posargs[:0] = ["--output", "docs"]  # figures that are worth to be kept
    save = Path(session.cache_dir).resolve() / "bench.json"  # for `python -m benchmarks --all --from`
    session.run("python", "-m", "benchmarks", "--all", "--save", str(save), *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the code with ruff: its rules, then its formatting."""
    session.install("ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types: mypy, pyright, the public API's completeness, the deliberate misuses."""
    # Every checker must say yes: what one of them misses is what another is here for.
    session.install("-e", ".[dev]")
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "trioserver", "--ignoreexternal")
    session.run("python", "tests/types/check_misuses.py")


@nox.session
def typing_compat(session: nox.Session) -> None:
    """Check a program that uses the wheel in an environment that also holds trio-typing.

    Its stubs outrank trio's own types. We never type-check there, but users who still have it
    must not be broken: their programs have to pass, without its mypy plugin. This session is the
    only place that installs it.
    """
    install_wheel(session, build(session))
    session.install("mypy", "trio-typing")
    # Away from the checkout and its configuration: only what is installed counts.
    program = ROOT / "tests" / "types" / "uses_trioserver.py"
    session.chdir(session.create_tmp())
    session.run("mypy", "--config-file=", "--strict", "--no-incremental", str(program))


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure the core's branch coverage, name the missing lines, fail under the bound."""
    session.install("-e", ".[test]")
    session.run("coverage", "erase")
    # The examples are programs of their own, stopped by signals: they are tested everywhere else.
    # Of the adapters nothing is measured.
    ignored = [f"--ignore=tests/{folder}" for folder in ("examples", "adapters", "programs", "benchmarks")]
    session.run("coverage", "run", "-m", "pytest", *ignored, *session.posargs)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")
