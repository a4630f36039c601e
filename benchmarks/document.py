"""The results as a document in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import fair, idle, load, memory
from benchmarks.floors import verdicts
from benchmarks.names import is_ours, title
from benchmarks.report import Quartiles, short
from benchmarks.suite import COLUMNS, OURS
from benchmarks.workloads import RATES, WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.results import Results
    from benchmarks.sample import Metric


def write(results: Results) -> str:
    """The whole document."""
    parts = [_head(results), _wanted(results)]
    for ours in OURS:
        for metric, what in ((load.CPU, "server CPU for each operation"), (load.RATE, "throughput")):
            parts.append(_ratios(results, ours, metric, what))
    parts += [
        _figures(results, "Server CPU for each operation, in microseconds", load.CPU.key, COLUMNS),
        _figures(
            results, "Latency while as much is asked as is answered, median in microseconds", "p50_us", _ECHO
        ),
        _figures(results, "The same, 99th percentile", "p99_us", _ECHO),
        _figures(results, "99th percentile at fixed rates, in microseconds", "p99_us", _RATES),
        _figures(
            results,
            "CPU by the number of connections, in microseconds for each line",
            load.CPU.key,
            _CONNECTIONS,
        ),
        _metrics(results, "Datagrams", "udp", load.METRICS),
        _metrics(results, "TLS, 50 connections", "tls50", load.METRICS),
        _figures(results, "PING, in microseconds of CPU each", load.CPU.key, ("ping1", "ping50", "ping16")),
        _metrics(results, "2,000 idle connections", "idle", idle.METRICS),
        _metrics(results, "10,000 idle connections", "idle10k", idle.METRICS),
        _metrics(results, "One polite client beside four that pipeline 2,000 lines", "fair", fair.METRICS),
        _metrics(results, "0.3 ms of work for each line, on two CPUs", "workers", (load.RATE,)),
        _metrics(results, _about("Memory", "grow"), "grow", (memory.GROWTH,)),
        _metrics(results, _about("Memory", "growchurn"), "growchurn", (memory.GROWTH,)),
        _left_out(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


_ECHO = ("echo1", "echo50", "echo500", "echo2000", "pipe16", "churn")
_CONNECTIONS = ("echo1", "echo10", "echo50", "echo500", "echo2000", "echo10000")
_RATES = tuple(f"rate{rate}" for rate in RATES)


def _about(what: str, workload: str) -> str:
    return f"{what}: {WORKLOADS[workload].about.removeprefix('memory ')}"


def _head(results: Results) -> str:
    machine = ", ".join(f"{key} {value}" for key, value in results.machine.items())
    command = "nox -s bench" + (" -- --quick" if results.quick else "")
    warning = "\n\nThis was the quick run: its figures are too coarse to be kept." if results.quick else ""
    return (
        "# Performance: the figures\n\n"
        f"Made by `{command}`, which overwrites this file. What the workloads are, and how they are\n"
        "measured, is said in [benchmarks/README.md](../benchmarks/README.md).\n\n"
        f"{machine}{warning}\n\n"
        "Ratios are medians of the ratios of the rounds, with the quartiles in brackets. More than 1 means\n"
        "that ours is better. Everything is on loopback, with the server on one CPU and the clients on\n"
        "another one."
    )


def _wanted(results: Results) -> str:
    rows = [
        [
            each.ours,
            each.against,
            each.workload,
            each.what,
            each.wanted,
            short(each.measured.median),
            f"{short(each.measured.low)}..{short(each.measured.high)}",
            "ok" if each.met else "**missed**",
        ]
        for each in verdicts(results)
    ]
    met = sum(row[-1] == "ok" for row in rows)
    heads = ("ours", "against", "workload", "of", "wanted", "measured", "quartiles", "")
    return f"## Wanted and measured\n\n{met} of {len(rows)} are met.\n\n{table(heads, rows)}" if rows else ""


def _ratios(results: Results, ours: str, metric: Metric, what: str) -> str:
    columns = [name for name in COLUMNS if ours in results.servers(name)]
    rows = [
        [title(theirs), *(_ratio(results.ratio(name, metric, ours, theirs)) for name in columns)]
        for theirs in _all_servers(results, columns)
        if not is_ours(theirs)
    ]
    if not rows or not columns:
        return ""
    return f"## {title(ours)} against others: {what}\n\n{table(['against', *columns], rows)}"


def _ratio(ratio: Quartiles | None) -> str:
    return "" if ratio is None else f"{ratio.median:.2f} ({ratio.low:.2f}..{ratio.high:.2f})"


def _figures(results: Results, heading: str, key: str, workloads: Sequence[str]) -> str:
    """A table with a row for each server and a column for each workload."""
    columns = [name for name in workloads if name in results.rounds]
    # A stream of bytes has no latencies.
    columns = [name for name in columns if key in results.rounds[name][0][results.servers(name)[0]].figures]
    rows = [
        [
            title(server),
            *(
                short(results.median(name, key, server)) if server in results.servers(name) else ""
                for name in columns
            ),
        ]
        for server in _all_servers(results, columns)
    ]
    return f"## {heading}\n\n{table(['server', *columns], rows)}" if rows else ""


def _metrics(results: Results, heading: str, workload: str, metrics: Sequence[Metric]) -> str:
    """A table with a row for each server and a column for each metric of one workload."""
    rows = []
    for server in results.servers(workload):
        quartiles = [Quartiles.of(results.figures(workload, metric.key, server)) for metric in metrics]
        cells = [f"{short(each.median)} ({short(each.low)}..{short(each.high)})" for each in quartiles]
        rows.append([title(server), *cells])
    return f"## {heading}\n\n{table(['server', *(metric.label for metric in metrics)], rows)}" if rows else ""


def _left_out(results: Results) -> str:
    lines = [f"- {sentence}" for sentence in (*results.left_out, *results.errors())]
    return "## Left out, or not to be trusted\n\n" + "\n".join(lines) if lines else ""


def _all_servers(results: Results, workloads: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(server for name in workloads for server in results.servers(name)))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; all columns but the first are figures, on the right."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
