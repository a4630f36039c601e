"""The pieces that an SVG drawing is made of: escaped text, numbers, styles."""

from __future__ import annotations

import html
import unicodedata

CHARACTER = 6.7
"""The width of a letter, in pixels, of the usual fixed-width fonts at 11 pixels."""

STYLE = """\
.page{fill:#ffffff}
text{font:11px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#1f2328}
.halo{fill:#ffffff;stroke:#ffffff;stroke-width:3px;stroke-linejoin:round;pointer-events:none}
.name{font-weight:bold;font-size:13px}
.dim{fill:#59636e}
.lane{stroke:#8c959f;fill:none}
.gap{stroke-dasharray:1 5}
.box{fill:#f6f8fa;stroke:#8c959f}
.arrow{stroke:#0550ae;fill:none;stroke-width:1.3}
.many{stroke-width:2.6}
.head{fill:#0550ae}
.run{fill:#0550ae;fill-opacity:.12}
.dropped{stroke:#cf222e;fill:none;stroke-width:1.5}
.held{stroke:#9a6700;fill:none;stroke-width:1.5;stroke-dasharray:5 3}
.bad{fill:#cf222e}
.late{fill:#9a6700}
.said{fill:#8250df}
.rule{stroke:#8c959f;stroke-dasharray:2 3;fill:none}
.partition,.down{fill:#cf222e;fill-opacity:.13}
.hold,.drain{fill:#d4a72c;fill-opacity:.22}
.finished{fill:#2da44e}
.failed{fill:#cf222e}
.cancelled{fill:#bf8700}
.open,.rejected{fill:#6e7781}
@media (prefers-color-scheme:dark){
.page{fill:#0d1117}
text{fill:#e6edf3}
.halo{fill:#0d1117;stroke:#0d1117}
.dim{fill:#9198a1}
.box{fill:#161b22;stroke:#6e7681}
.lane,.rule{stroke:#6e7681}
.arrow{stroke:#79c0ff}
.head,.run{fill:#79c0ff}
.dropped{stroke:#ff7b72}
.held{stroke:#e3b341}
.bad{fill:#ff7b72}
.late{fill:#e3b341}
.said{fill:#d2a8ff}
.partition,.down{fill:#ff7b72;fill-opacity:.18}
.hold,.drain{fill:#e3b341;fill-opacity:.22}
.finished{fill:#3fb950}
.failed{fill:#ff7b72}
.cancelled{fill:#e3b341}
.open,.rejected{fill:#9198a1}
}
"""


def escape(text: str) -> str:
    """Text as XML, without the characters that XML 1.0 can not have (section 2.2)."""
    legal = "".join(char if _is_legal(char) else f"\\x{ord(char):02x}" for char in text)
    return html.escape(legal)


def _is_legal(char: str) -> bool:
    code = ord(char)
    return char in "\t\n\r" or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000


def width(text: str) -> float:
    """How many pixels a text takes, roughly."""
    return CHARACTER * sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def fit(text: str, pixels: float) -> str:
    """The text on one line, cut where it would take more than so many pixels."""
    text = " ".join(text.split())
    if width(text) <= pixels:
        return text
    while text and width(text) > pixels - 3 * CHARACTER:
        text = text[:-1]
    return text.rstrip() + "..."


def number(value: float) -> str:
    """A coordinate."""
    return f"{value:.1f}".removesuffix(".0")


def seconds(value: float) -> str:
    """A time without the zeros that say nothing."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def write(x: float, y: float, text: str, kind: str = "", *, anchor: str = "", tip: str = "") -> str:
    """A line of text; ``tip`` is shown when the mouse is over it."""
    place = f' text-anchor="{anchor}"' if anchor else ""
    classes = f' class="{kind}"' if kind else ""
    inside = f"<title>{escape(tip)}</title>" if tip and tip != text else ""
    return f'<text x="{number(x)}" y="{number(y)}"{classes}{place}>{inside}{escape(text)}</text>'


def write_over(x: float, y: float, text: str, kind: str = "", *, anchor: str = "", tip: str = "") -> str:
    """A line of text that may cross lines: first wider, in the colour of the page, then as it is.

    Not one text with ``paint-order``: where that is not known, the outline covers the text.
    """
    halo = write(x, y, text, "halo", anchor=anchor).replace("<text ", '<text aria-hidden="true" ', 1)
    return halo + write(x, y, text, kind, anchor=anchor, tip=tip)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line."""
    return f'<path class="{kind}" d="M{number(x1)} {number(y1)}L{number(x2)} {number(y2)}"/>'


def box(x: float, y: float, wide: float, high: float, kind: str, *, tip: str = "") -> str:
    """A rectangle."""
    shape = f'class="{kind}" x="{number(x)}" y="{number(y)}" width="{number(wide)}" height="{number(high)}"'
    return f"<rect {shape}><title>{escape(tip)}</title></rect>" if tip else f"<rect {shape}/>"
