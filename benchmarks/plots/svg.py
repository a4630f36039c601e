"""The pieces that the plots are made of: a page, its styles, texts that do not overlap."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CHARACTER = 6.2
"""The width of a letter, in pixels, at 12 pixels; a little more than it is in most fonts."""

# A family of servers has one colour; those of it that are called and never wait have a dashed line.
COLOURS = {
    "ours": ("#0550ae", "#79c0ff"),
    "trio": ("#8250df", "#d2a8ff"),
    "asyncio": ("#1a7f37", "#56d364"),
    "uvloop": ("#bc4c00", "#ffa657"),
    "other": ("#59636e", "#9198a1"),
}
FAMILIES = {
    "trioserver": "ours",
    "trio": "trio",
    "anyio": "trio",
    "asyncio": "asyncio",
    "uvloop": "uvloop",
}
DASHED = ("callbacks", "protocol", "bare")

_STYLE = """\
.page{{fill:#ffffff}}
text{{font:12px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:#1f2328}}
.title{{font-size:16px;font-weight:600}}
.dim{{fill:#59636e}}
.small{{font-size:11px}}
.strong{{font-weight:600}}
.grid{{stroke:#d1d9e0;fill:none}}
.axis{{stroke:#8c959f;fill:none}}
.lead{{stroke:#8c959f;fill:none;stroke-width:.7}}
.line{{fill:none;stroke-width:1.6;stroke-linejoin:round}}
.thick{{stroke-width:2.8}}
.dashed{{stroke-dasharray:6 3}}
.whisker{{stroke:#1f2328;fill:none}}
.better{{fill:#4ac26b}}
.worse{{fill:#f0883e}}
{light}
@media (prefers-color-scheme:dark){{
.page{{fill:#0d1117}}
text{{fill:#e6edf3}}
.dim{{fill:#9198a1}}
.grid{{stroke:#2a313c}}
.axis,.lead{{stroke:#6e7681}}
.whisker{{stroke:#e6edf3}}
.better{{fill:#238636}}
.worse{{fill:#bd561d}}
{dark}
}}
"""


def _colours(place: int) -> str:
    return "\n".join(
        f".{family}{{stroke:{pair[place]}}}text.{family},.{family}.mark{{fill:{pair[place]};stroke:none}}"
        for family, pair in COLOURS.items()
    )


STYLE = _STYLE.format(light=_colours(0), dark=_colours(1))


def family(server: str) -> str:
    """The class that colours a server."""
    return FAMILIES.get(server.partition("_")[0], "other")


def line_class(server: str) -> str:
    """The classes of a server's line."""
    dashed = " dashed" if server.endswith(DASHED) or server.startswith(DASHED) else ""
    return f"line {family(server)}{dashed}{' thick' if family(server) == 'ours' else ''}"


def number(value: float) -> str:
    """As short as it can be said to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


class Page:
    """A drawing, element by element."""

    def __init__(self, width: float, height: float, title: str, subtitle: str, foot: str) -> None:
        self.width = width
        self.height = height
        self._title = title
        self._parts: list[str] = []
        self.text(20, 28, title, "title")
        self.text(20, 47, subtitle, "dim")
        self.text(20, height - 14, foot, "dim small")

    def text(self, x: float, y: float, text: str, style: str = "", anchor: str = "start") -> None:
        """A line of text whose baseline is at *y*."""
        named = f' class="{style}"' if style else ""
        where = f' text-anchor="{anchor}"' if anchor != "start" else ""
        body = html.escape(text, quote=False)
        self._parts.append(f'<text x="{number(x)}" y="{number(y)}"{named}{where}>{body}</text>')

    def path(self, points: Sequence[tuple[float, float]], style: str) -> None:
        """A line through *points*."""
        drawn = "L".join(f"{number(x)} {number(y)}" for x, y in points)
        self._parts.append(f'<path class="{style}" d="M{drawn}"/>')

    def dot(self, x: float, y: float, radius: float, style: str) -> None:
        """A filled circle."""
        self._parts.append(
            f'<circle class="{style} mark" cx="{number(x)}" cy="{number(y)}" r="{number(radius)}"/>'
        )

    def bar(self, x: float, y: float, width: float, height: float, style: str) -> None:
        """A filled rectangle."""
        self._parts.append(
            f'<rect class="{style}" x="{number(x)}" y="{number(y)}" width="{number(width)}"'
            f' height="{number(height)}" rx="1.5"/>'
        )

    def __str__(self) -> str:
        size = f'width="{number(self.width)}" height="{number(self.height)}"'
        box = f"0 0 {number(self.width)} {number(self.height)}"
        return "\n".join(
            [
                '<?xml version="1.0" encoding="UTF-8"?>',
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" {size} role="img">',
                f"<title>{html.escape(self._title, quote=False)}</title>",
                f"<style>{STYLE}</style>",
                f'<rect class="page" {size}/>',
                *self._parts,
                "</svg>\n",
            ]
        )


@dataclass
class Label:
    """A text that belongs to a place, and may be moved up or down."""

    text: str
    style: str
    wanted: float
    place: float = 0.0


@dataclass
class Flag:
    """A text above a place at the upper edge, at the end of a staff."""

    text: str
    style: str
    x: float
    row: int = 0

    @property
    def right(self) -> float:
        return self.x + 5 + CHARACTER * 1.05 * len(self.text)


def raise_flags(flags: Iterable[Flag]) -> list[Flag]:
    """Give each of *flags* the lowest row in which it covers neither another one nor its staff."""
    raised: list[Flag] = []
    # From the right: a staff that comes later is left of all texts that are there.
    for flag in sorted(flags, key=lambda flag: -flag.x):
        while any(flag.right > other.x and flag.row <= other.row for other in raised):
            flag.row += 1
        raised.append(flag)
    return raised


def spread(labels: Iterable[Label], gap: float, top: float, bottom: float) -> list[Label]:
    """Move *labels* as little as it takes for them to be *gap* apart, between *top* and *bottom*; sorted."""
    ordered = sorted(labels, key=lambda label: label.wanted)
    # Each label and those that it has pushed together: a block has the mean of what its labels want.
    blocks: list[list[Label]] = []
    for label in ordered:
        blocks.append([label])
        while len(blocks) > 1 and _start(blocks[-1], gap, top, bottom) < _start(
            blocks[-2], gap, top, bottom
        ) + gap * len(blocks[-2]):
            last = blocks.pop()
            blocks[-1] += last
    for block in blocks:
        start = _start(block, gap, top, bottom)
        for place, label in enumerate(block):
            label.place = start + gap * place
    return ordered


def _start(block: list[Label], gap: float, top: float, bottom: float) -> float:
    """Where the first label of *block* is."""
    wanted = sum(label.wanted - gap * place for place, label in enumerate(block)) / len(block)
    return max(top, min(wanted, bottom - gap * (len(block) - 1)))
