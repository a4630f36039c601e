"""The sequence diagrams of an event log: what is drawn, where, and that texts can be read."""

from __future__ import annotations

import random
import re
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
import seeded_programs

from trioserver.testing import Event
from trioserver.testing._mermaid import mermaid
from trioserver.testing._packet_events import packet_event
from trioserver.testing._run import run
from trioserver.testing._scene import LIMIT, MAX_LANES, build
from trioserver.testing._scene_packets import Arrow
from trioserver.testing._svg import svg
from trioserver.testing._svg_parts import fit, width
from trioserver.testing._time_axis import BREAK, ROW, Moment, TimeAxis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SVG = "{http://www.w3.org/2000/svg}"


def packet(time: float, source: str, destination: str, kind: str, size: int = 0, **fields: Any) -> Event:
    """A packet that takes a millisecond, unless its fate says otherwise."""
    arrival = time + 0.001 if fields.get("fate", "delivered") == "delivered" else None
    known = {"connection": 1, "fate": "delivered", "arrival": arrival, "reason": ""}
    what = {"source": source, "destination": destination, "protocol": "tcp", "packet": kind, "size": size}
    return Event(time, source, "packet", f"{kind} of {size}", {**known, **what, **fields})


def event(time: float, host: str, kind: Any, text: str, **fields: Any) -> Event:
    """Any other event."""
    return Event(time, host, kind, text, fields)


def a_day() -> list[Event]:
    """Something of everything."""
    request = {"server": "TCPServer", "request_id": 1}
    ways = [("client", "server"), ("server", "client")]
    return [
        event(0, "server", "host", "is 10.0.0.1", addresses=("10.0.0.1",)),
        event(0, "unused", "host", "is 10.0.0.2"),
        event(0, "server", "server", "TCPServer serves 10.0.0.1:80", server="TCPServer", state="started"),
        packet(0, "client", "server", "SYN"),
        packet(0.001, "server", "client", "SYN-ACK"),
        event(0.002, "client", "connection", "connection 1 to 10.0.0.1:80 established", connection=1),
        event(0.002, "server", "request", "TCPServer request 1 begins", request="begins", **request),
        *[packet(0.002 + number / 10000, "client", "server", "DATA", 1000) for number in range(12)],
        *[packet(0.004, "server", "client", "ACK") for _ in range(3)],
        packet(0.004, "server", "client", "DATA", 10),
        *[event(60, "", "fault", "cut", fault="partition", source=a, destination=b) for a, b in ways],
        packet(60.1, "client", "server", "DATA", 5, fate="dropped", reason="partition"),
        event(60.2, "", "note", "now <the> server & all are told to stop"),
        event(60.2, "server", "server", "TCPServer drains for 5 s", server="TCPServer", state="draining"),
        event(61, "", "fault", "wait", fault="hold", source="other", destination="server"),
        packet(61.1, "other", "server", "DATAGRAM", 7, connection=None, fate="held"),
        event(61.2, "", "fault", "go on", fault="release", source="other", destination="server"),
        packet(61.2, "other", "server", "DATAGRAM", 7, connection=None),
        packet(61.3, "server", "server", "DATAGRAM", 7, connection=None, arrival=61.3),
        *[event(62, "", "fault", "mend", fault="repair", source=a, destination=b) for a, b in ways],
        event(63, "other", "fault", "crashes", fault="crash"),
        event(64, "other", "fault", "restarts", fault="restart"),
        event(65, "server", "request", "request 1 cancelled", request="ends", outcome="cancelled", **request),
        event(65, "server", "server", "TCPServer has stopped", server="TCPServer", state="stopped"),
        event(65, "other", "fault", "crashes", fault="crash"),
    ]


def chaos(seed: int, count: int = 120, hosts: int = 5) -> list[Event]:
    """Events without any sense, in the order of time."""
    source = random.Random(seed)
    names = [f"host-{number}" for number in range(hosts)]
    time, events = 0.0, []
    for number in range(count):
        time += source.choice([0, 0, 0.0001, 0.001, 0.002, 5])
        a, b = source.choice(names), source.choice(names)
        fate = source.choice(["delivered", "delivered", "dropped", "held"])
        kind = source.choice(["SYN", "DATA", "DATA", "FIN"])
        events.append(packet(time, a, b, kind, 500, connection=source.randrange(4), fate=fate))
        if number % 5 == 0:
            events.append(event(time, source.choice([a, ""]), "note", "a note " * source.randrange(1, 12)))
        if number % 7 == 0:
            begins = source.choice(["begins", "ends"])
            events.append(
                event(time, a, "request", "a request", request=begins, request_id=1, outcome="failed")
            )
    return events


def texts_of(drawing: str) -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of each text."""
    found = []
    for element in ElementTree.fromstring(drawing).iter(f"{SVG}text"):
        if element.get("class") == "halo":  # the same text again
            continue
        text = "".join(element.itertext()).removeprefix(element.findtext(f"{SVG}title") or "")
        wide = width(text) * (1.18 if element.get("class") == "name" else 1)
        x, y = float(element.get("x", "0")), float(element.get("y", "0"))
        left = x - wide * {"end": 1.0, "middle": 0.5}.get(element.get("text-anchor", ""), 0.0)
        found.append((left, y - 8, left + wide, y + 2))
    return found


def named(drawing: str, kind: str) -> list[ElementTree.Element]:
    """The elements of a class."""
    return [
        element
        for element in ElementTree.fromstring(drawing).iter()
        if kind in element.get("class", "").split()
    ]


@pytest.mark.parametrize("events", [a_day(), *[chaos(seed) for seed in range(20)], chaos(1, 3000, 40)])
def test_no_text_is_above_another_or_cut_off(events: list[Event]) -> None:
    """Whatever happened: each line of text has a place of its own, on the page."""
    drawing = svg(events)
    page = ElementTree.fromstring(drawing)
    wide, high = float(page.get("width", "0")), float(page.get("height", "0"))
    texts = texts_of(drawing)
    assert all(left >= 0 and right <= wide and bottom <= high for left, _, right, bottom in texts)
    texts.sort(key=lambda text: text[1])
    for place, (left, top, right, bottom) in enumerate(texts):
        for other_left, other_top, other_right, _ in texts[place + 1 :]:
            if other_top >= bottom:
                break
            assert other_left >= right or other_right <= left, (left, top, right, bottom)


@pytest.mark.parametrize("draw", [svg, mermaid])
def test_the_same_log_gives_the_same_drawing(draw: Callable[[Iterable[Event]], str]) -> None:
    """Byte for byte; and an empty one gives an empty one."""
    assert draw(a_day()) == draw(a_day())
    assert draw(chaos(1)) != draw(chaos(2))
    assert draw([])


def test_a_log_draws_itself() -> None:
    """As an SVG file and as Mermaid text, of a run as it is."""
    log = run(seeded_programs.talk, seed=1).log
    drawing = log.to_svg()
    assert drawing == svg(log)
    assert "#1 SYN-ACK" in drawing
    assert log.to_mermaid() == mermaid(log)
    assert "5,000 bytes" in log.to_mermaid()


def test_the_svg_stands_alone_and_escapes() -> None:
    """No scripts, nothing from elsewhere, and no text that is taken for markup."""
    drawing = svg([*a_day(), event(66, "<host>", "note", 'a "quote" & a null\0 and a lone \ud800')])
    root = ElementTree.fromstring(drawing)
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        *("svg", "title", "style", "rect", "text", "path", "polygon", "circle")
    }
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|href|url\(", drawing)
    assert 'a "quote" & a null\\x00 and a lone \\xd800' in "".join(root.itertext())
    assert "prefers-color-scheme:dark" in drawing
    drawing.encode("utf-8")


def test_hosts_are_lines_in_the_order_in_which_they_appear() -> None:
    """Those that nothing happened at are left out."""
    assert build(a_day()).lanes == ["server", "client", "other"]
    names = ["".join(element.itertext()) for element in named(svg(a_day()), "name")]
    assert names == ["server", "client", "other"]


def test_data_that_follow_each_other_are_one_arrow() -> None:
    """With a count and the bytes; what says that they arrived is not drawn; both are remarked on."""
    drawing = svg(a_day())
    assert "#1 12 DATA, 12,000 bytes" in drawing
    assert len(named(drawing, "run")) == 1
    assert "3 ACK packets, which say that data arrived, are not drawn." in drawing
    assert drawing.replace("SYN-ACK", "").count("ACK") == 1
    assert "Data in one direction that follow each other are one arrow." in drawing


def test_what_comes_between_data_separates_them() -> None:
    """An answer, a pause as before TCP sends again, another connection's fate, a note."""
    between = [
        packet(0.05, "b", "a", "DATA", 1),
        event(0.05, "", "note", "between"),
        packet(0.05, "a", "b", "DATA", 1, fate="dropped"),
    ]
    for one in between:
        labels = build([packet(0, "a", "b", "DATA", 1), one, packet(0.06, "a", "b", "DATA", 1)]).items
        assert len(labels) == 3
    assert len(build([packet(0, "a", "b", "DATA", 1), packet(0.2, "a", "b", "DATA", 1)]).items) == 2


def test_no_effect_is_drawn_before_its_cause() -> None:
    """What was sent after something else had happened at one of the two hosts is another arrow."""
    first, second = packet(0.005, "a", "b", "DATA", 1), packet(0.011, "a", "b", "DATA", 1)
    between = [
        packet(0.006, "c", "b", "SYN", connection=2),
        packet(0.006, "a", "c", "DATA", 1, connection=2),
        event(0.007, "a", "connection", "connection 2 established"),
        event(0.007, "", "dns", "a name"),
    ]
    for one in between:
        items = build([first, one, second]).items
        assert [item.time for item in items] == [0.005, one.time, 0.011]
    # What arrives may be the cause, too, though it was sent before.
    arriving = packet(0.004, "c", "a", "DATA", 1, connection=2, arrival=0.009)
    assert [item.time for item in build([arriving, first, second]).items] == [0.004, 0.005, 0.011]


def test_what_is_no_cause_does_not_separate_data() -> None:
    """What happens at other hosts, what arrives at the receiver, and anything if they were sent at once."""
    first, second = packet(0.005, "a", "b", "DATA", 1), packet(0.011, "a", "b", "DATA", 1)
    elsewhere = packet(0.006, "c", "d", "SYN", connection=2)
    arriving = packet(0.004, "c", "b", "DATA", 1, connection=2, arrival=0.009)
    assert len(build([first, elsewhere, second]).items) == 2
    assert len(build([arriving, first, second]).items) == 2
    two = [packet(0.005, "a", "b", "DATA", 1, connection=number) for number in (1, 2)]
    scene = build([*two, *two, second])
    assert [item.count for item in scene.items] == [2, 2, 1]


def test_a_duplicated_packet_has_two_arrows() -> None:
    """Each to where one of the two arrives; the earlier is the first, here and in the log."""
    ends = ("udp", "DATAGRAM", ("10.0.0.1", 1), ("10.0.0.2", 2), "a", "b", 7, 1, None, "delivered")
    one = packet_event(1.0, *ends, "duplicated", 1.75, 1.25)
    assert one.text.endswith("7 bytes, arrives after 0.25 s and 0.75 s: duplicated")
    arrows = [item for item in build([one, one]).items if isinstance(item, Arrow)]
    assert [arrow.arrival for arrow in arrows] == [1.25, 1.75] * 2
    labels = ["DATAGRAM 7 bytes (duplicated)", "DATAGRAM 7 bytes (duplicate)"]
    assert [arrow.label for arrow in arrows] == labels * 2
    assert len(named(svg([one]), "arrow")) == 2


def test_a_crash_ends_what_goes_on_at_the_host() -> None:
    """It tells of no end of its requests, and its next server counts them from 1 again."""
    request = {"server": "TCPServer", "request_id": 1}
    scene = build(
        [
            event(1, "a", "request", "1 begins", request="begins", **request),
            event(1, "a", "server", "drains", server="TCPServer", state="draining"),
            event(2, "a", "fault", "crashes", fault="crash"),
            event(3, "a", "fault", "restarts", fault="restart"),
            event(4, "a", "request", "1 begins", request="begins", **request),
            event(5, "a", "request", "1 ends", request="ends", outcome="finished", **request),
        ]
    )
    assert [(bar.start, bar.end, bar.outcome) for bar in scene.bars] == [(1, 2, ""), (4, 5, "finished")]
    assert [(band.kind, band.start, band.end) for band in scene.bands] == [("drain", 1, 2), ("down", 2, 3)]


def test_no_outline_covers_its_text() -> None:
    """Where ``paint-order`` is not known, either: the outline is a text of its own, before the other."""
    drawing = svg(a_day())
    assert "paint-order" not in drawing
    texts = list(ElementTree.fromstring(drawing).iter(f"{SVG}text"))
    for place, element in enumerate(texts):
        if "halo" not in element.get("class", "").split():
            continue
        over = texts[place + 1]
        assert element.get("class") == "halo"
        assert (over.get("x"), over.get("y")) == (element.get("x"), element.get("y"))
        assert "".join(over.itertext()).endswith(element.text or "-")
        assert "halo" not in over.get("class", "")
    assert len(named(drawing, "halo")) == len(build(a_day()).items)


def test_arrows_go_down_with_time() -> None:
    """From the line of the sender to that of the receiver, and later is lower."""
    ends = [re.findall(r"[\d.]+", line.get("d", "")) for line in named(svg(a_day()), "arrow")]
    syn, syn_ack = ([float(number) for number in numbers] for numbers in ends[:2])
    assert syn[0] > syn[2]  # from the client, on the right, to the server
    assert syn_ack[:1] == syn[2:3]
    assert syn[1] < syn[3] <= syn_ack[1] < syn_ack[3]


def test_what_is_lost_ends_in_a_cross_and_what_is_held_in_a_dot() -> None:
    """With the reason in words."""
    drawing = svg(a_day())
    assert len(named(drawing, "dropped")) == 3  # the line and the cross
    assert "#1 DATA 5 bytes (dropped: partition)" in drawing
    assert len(named(drawing, "held")) == 1
    assert "DATAGRAM 7 bytes (held)" in drawing


def test_requests_are_bars() -> None:
    """In the colour of their outcome; those that have not ended go to the end."""
    (bar,) = named(svg(a_day()), "cancelled")
    (start, end) = (float(bar.get("y", "0")), float(bar.get("y", "0")) + float(bar.get("height", "0")))
    drain = named(svg(a_day()), "drain")[0]
    assert start < float(drain.get("y", "0")) < end
    unfinished = [one for one in a_day() if one.fields.get("request") != "ends"]
    assert len(named(svg(unfinished), "open")) == 1


def test_requests_at_the_same_time_lie_beside_each_other() -> None:
    """And a place is used again when a request has ended."""
    events = [
        event(at, "host", "request", "", request=what, request_id=number, outcome="finished")
        for at, what, number in [
            (0, "begins", 1),
            (1, "begins", 2),
            (2, "ends", 1),
            (3, "begins", 3),
            (4, "ends", 2),
        ]
    ]
    places = [element.get("x") for element in named(svg(events), "finished") + named(svg(events), "open")]
    assert places[0] == places[2] != places[1]


def test_faults_are_coloured_areas() -> None:
    """From when they begin to when they end, at the hosts that they concern, with a line that says so."""
    drawing = svg(a_day())
    assert [len(named(drawing, kind)) for kind in ("partition", "hold", "drain", "down")] == [1, 2, 1, 2]
    assert "partition client | server" in drawing
    assert "hold other &gt; server" in drawing
    assert [(band.kind, band.start, band.end) for band in build(a_day()).bands] == [
        ("partition", 60, 62),
        ("drain", 60.2, 65),
        ("hold", 61, 61.2),
        ("down", 63, 64),
        ("down", 65, None),
    ]


def test_a_partition_of_groups_is_one_line() -> None:
    """Though each link is an event."""
    ways = [(a, b) for a in "ab" for b in "cdef"]
    events = [
        event(0, "", "fault", "cut", fault="partition", source=a, destination=b)
        for a, b in [*ways, *[(b, a) for a, b in ways]]
    ]
    (mark,) = build(events).items
    assert getattr(mark, "text", "") == "partition a | c, a | d, a | e, a | f and 4 more"


def test_long_times_in_which_nothing_happens_are_shortened() -> None:
    """And marked, with how long they were."""
    drawing = svg(a_day())
    assert "+59.99 s" in drawing or "+60 s" in drawing
    assert named(drawing, "gap")
    assert "later" in mermaid(a_day())
    axis = TimeAxis([Moment(time, 0, ROW) for time in (0, 1, 2, 3, 1000)], 0)
    assert [round(later - earlier, 3) for earlier, later in pairwise(axis.places.values())] == [
        24,
        24,
        24,
        BREAK,
    ]
    assert axis.breaks == [(72, 72 + BREAK, 997)]


def test_the_axis_knows_times_that_have_no_place() -> None:
    """They are between their neighbours."""
    axis = TimeAxis([Moment(1, 0, ROW), Moment(1, 1, ROW), Moment(2, 0, ROW)], 100)
    first, second, third = axis.places.values()
    assert (axis.first(1), axis.last(1)) == (first, second)
    assert second < axis.first(1.5) == axis.last(1.5) < third
    assert (axis.first(0), axis.last(9)) == (first, third)
    assert TimeAxis([], 0).first(1) == 0


def test_a_long_log_is_summarised() -> None:
    """With faults and notes as they are, no more than people can look at, and a remark that says how."""
    events = [one for one in chaos(3, 4000) if one.kind != "note"]
    middle = events[len(events) // 2].time
    found = len(events) // 2
    events.insert(found, event(middle, "", "fault", "an earthquake"))
    scene = build(events)
    assert len(scene.items) <= LIMIT
    assert any(remark.startswith("Summary: ") for remark in scene.remarks)
    drawing = svg(events)
    assert "an earthquake" in drawing
    assert named(drawing, "many")
    # Nothing is lost, and no arrow stands for packets of both sides of a fault.
    place = next(n for n, item in enumerate(scene.items) if getattr(item, "text", "") == "an earthquake")
    for part, of in ((scene.items[:place], events[:found]), (scene.items[place:], events[found:])):
        drawn = sum(item.count for item in part if isinstance(item, Arrow))
        assert drawn == sum(one.kind == "packet" for one in of)


def test_what_can_not_be_summarised_is_left_out_in_the_middle() -> None:
    """The beginning and the end stay, and it says how much is missing."""
    scene = build(event(number, "host", "note", f"note {number}") for number in range(1000))
    texts = [getattr(item, "text", "") for item in scene.items]
    assert (texts[0], texts[-1], len(texts)) == ("note 0", "note 999", LIMIT + 1)
    assert "700 arrows and marks are left out here" in texts
    assert "700 arrows and marks in the middle are left out." in scene.remarks


def test_many_requests_are_no_bars() -> None:
    """Beyond what can be told apart."""
    events = [event(n, "host", "request", "", request="begins", request_id=n) for n in range(LIMIT + 1)]
    scene = build(events)
    assert scene.bars == []
    assert f"{LIMIT + 1} requests are not drawn as bars." in scene.remarks


def test_many_hosts_share_a_line() -> None:
    """The busiest have their own."""
    events = [packet(n / 10, f"h{n}", "hub", "SYN", connection=n) for n in range(50)]
    events += [packet(9, "h40", "h41", "SYN")]
    scene = build(events)
    assert len(scene.lanes) == MAX_LANES
    assert {"hub", "h40", "h41", "other hosts"} <= set(scene.lanes)
    assert scene.remarks[0].startswith("The 15 busiest of 51 hosts have a line each")


def test_mermaid_has_a_statement_for_each() -> None:
    """Participants, arrows by fate, notes."""
    lines = [line.strip() for line in mermaid(a_day()).splitlines()]
    assert lines[:5] == [
        "sequenceDiagram",
        "participant h0 as server",
        "participant h1 as client",
        "participant h2 as other",
        "Note over h0: 0 s TCPServer serves 10.0.0.1:80",
    ]
    assert "h1->>h0: 0 s #35;1 SYN" in lines
    assert "h1-xh0: 60.1 s #35;1 DATA 5 bytes (dropped: partition)" in lines
    assert "h2--)h0: 61.1 s DATAGRAM 7 bytes (held)" in lines
    assert "Note over h0,h2: 60 s partition client #124; server" in lines


def test_mermaid_escapes_its_own_signs() -> None:
    """Whatever a text has in it: one statement a line, each of a form that Mermaid knows."""
    hosts = ["end", "a;b", "Note over x: y", "#35;"]
    events = [event(number, host, "note", 'a;b#c%%d\n<e>"f"') for number, host in enumerate(hosts)]
    statement = re.compile(
        r"(sequenceDiagram|participant h\d+ as |Note over h\d+(,h\d+)?: )([\w .,:()\[\]/_+*=-]|#\d+;)*"
    )
    lines = [line.strip() for line in mermaid(events).splitlines()]
    assert len(lines) == 9
    assert all(statement.fullmatch(line) for line in lines)
    assert "Note over h0: 0 s a#59;b#35;c#37;#37;d #60;e#62;#34;f#34;" in lines


def test_texts_are_cut_to_what_there_is_room_for() -> None:
    """With dots, and wide characters count twice."""
    assert fit("short", 100) == "short"
    assert fit("a text that is too long", 70) == "a text..."
    assert width("\u65e5") == 2 * width("a")
    for one, other in combinations(["\u65e5" * 9, "b" * 30], 2):
        assert width(fit(one, 80)) <= 80 >= width(fit(other, 80))
