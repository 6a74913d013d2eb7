"""The Fabric as a picture: columns from the exchange on the left to the subscribers on the right, as SVG 1.1."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

from lanecast.fabric import (
    Fabric,
    HostRole,
    LinkKind,
)
from lanecast.router import RouterRole
from lanecast.tables import milliseconds

COLUMN_WIDTH = 210
BOX_WIDTH = 132
BOX_HEIGHT = 34
ROW_HEIGHT = 84
MARGIN = 24
TITLE_HEIGHT = 56
LABEL_OFFSET = 5

COLUMNS = ("Exchanges", "Routers", "Switches", "Relays", "Gateways", "VPCs", "Instances")
COLORS = ("#fde2c8", "#d6e4f5", "#e6e6e6", "#d9efd5", "#d6e4f5", "#efe1f4", "#fdf3c8")

STYLE = """
text { font: 12px sans-serif; fill: #222; }
.title { font: bold 16px sans-serif; } .head { font: bold 12px sans-serif; fill: #666; }
.label { font: 9px sans-serif; fill: #555; }
.box { stroke: #555; } .line { stroke: #777; fill: none; } .peering { stroke: #8a5a9e; stroke-dasharray: 5 3; }
.delivery { stroke: #3a7d44; stroke-dasharray: 2 3; }
"""


@dataclass(frozen=True, slots=True)
class _Box:
    column: int
    x: float
    y: float

    @property
    def left(self) -> tuple[float, float]:
        return self.x, self.y + BOX_HEIGHT / 2

    @property
    def right(self) -> tuple[float, float]:
        return self.x + BOX_WIDTH, self.y + BOX_HEIGHT / 2


def columns_of(fabric: Fabric) -> list[list[str]]:
    """The names of each column, in the order of :data:`COLUMNS`."""
    routers = {role: [router.name for router in fabric.routers if router.role is role] for role in RouterRole}
    relays = [host.name for host in fabric.hosts if host.role is HostRole.RELAY]
    switches = sorted({segment.switch for segment in fabric.segments})
    vpcs = [vpc.name for vpc in fabric.cloud.vpcs]
    instances = [instance.name for instance in fabric.cloud.instances]
    exchange, site, gateway = (routers[role] for role in (RouterRole.EXCHANGE, RouterRole.SITE, RouterRole.GATEWAY))
    return [exchange, site, switches, relays, gateway, vpcs, instances]


def draw(fabric: Fabric) -> str:
    """Return the network as an SVG document."""
    columns = columns_of(fabric)
    height = TITLE_HEIGHT + max(len(names) for names in columns) * ROW_HEIGHT + 2 * MARGIN
    width = len(columns) * COLUMN_WIDTH - (COLUMN_WIDTH - BOX_WIDTH) + 2 * MARGIN
    boxes = _place(columns, height)
    svg = ElementTree.Element(
        "svg", xmlns="http://www.w3.org/2000/svg", width=str(width), height=str(height), viewBox=f"0 0 {width} {height}"
    )
    ElementTree.SubElement(svg, "style").text = STYLE
    ElementTree.SubElement(svg, "rect", width="100%", height="100%", fill="#fff")
    _text(svg, MARGIN, MARGIN + 6, fabric.name, "title")
    for column, title in enumerate(COLUMNS):
        _text(svg, MARGIN + column * COLUMN_WIDTH, TITLE_HEIGHT, title, "head")
    _draw_lines(svg, fabric, boxes)
    for name, box in boxes.items():
        _draw_box(svg, name, box)
    return ElementTree.tostring(svg, encoding="unicode", xml_declaration=True) + "\n"


def _place(columns: list[list[str]], height: int) -> dict[str, _Box]:
    boxes = {}
    room = height - TITLE_HEIGHT - 2 * MARGIN
    for column, names in enumerate(columns):
        step = room / max(len(names), 1)
        for row, name in enumerate(names):
            y = TITLE_HEIGHT + MARGIN + step * (row + 0.5) - BOX_HEIGHT / 2
            boxes[name] = _Box(column, MARGIN + column * COLUMN_WIDTH, y)
    return boxes


def _draw_lines(svg: ElementTree.Element, fabric: Fabric, boxes: dict[str, _Box]) -> None:
    for link in fabric.links:
        (first, _), (second, _) = link.ends
        if link.kind is LinkKind.CIRCUIT:
            label = f"{link.name} {milliseconds(link.delay_ns)}"
            _connect(svg, boxes[first].right, boxes[second].left, "line", (label, " ".join(link.carries)))
        elif link.kind is LinkKind.UPLINK:
            _connect(svg, boxes[first].right, boxes[second].left, "line", (), bend=ROW_HEIGHT * 0.45)
    for segment in fabric.segments:
        if segment.multicast:
            router, *relays = (name for name, _ in segment.attachments)
            _connect(svg, boxes[router].right, boxes[segment.switch].left, "line", ())
            for relay in relays:
                _connect(svg, boxes[segment.switch].right, boxes[relay].left, "line", ())
    delays = {link.name: link.delay_ns for link in fabric.links}
    for gateway in fabric.cloud.gateways:
        label = f"{gateway.uplink} {milliseconds(delays[gateway.uplink])}"
        _connect(svg, boxes[gateway.name].right, boxes[gateway.vpc].left, "line", (label,), labels_at_start=True)
    for index, peering in enumerate(fabric.cloud.peerings):
        _draw_peering(svg, boxes[peering.first], boxes[peering.second], index, peering.name, peering.delay_ns)
    for instance in fabric.cloud.instances:
        vpc = instance.subnet.rpartition(".")[0]
        _connect(svg, boxes[vpc].right, boxes[instance.name].left, "line", ())


def _draw_peering(svg: ElementTree.Element, first: _Box, second: _Box, index: int, name: str, delay_ns: int) -> None:
    """A bow on the left of the VPCs, each a little wider than the one before."""
    (x1, y1), (x2, y2) = first.left, second.left
    bow = 26 + 16 * index
    path = f"M {x1} {y1} C {x1 - bow} {y1}, {x2 - bow} {y2}, {x2} {y2}"
    ElementTree.SubElement(svg, "path", {"class": "line peering", "d": path})
    _text(svg, (x1 + x2) / 2 - bow, (y1 + y2) / 2, f"{name} {milliseconds(delay_ns)}", "label")


def _connect(
    svg: ElementTree.Element,
    start: tuple[float, float],
    end: tuple[float, float],
    style: str,
    labels: tuple[str, ...],
    bend: float = 0,
    labels_at_start: bool = False,
) -> None:
    (x1, y1), (x2, y2) = start, end
    middle = (x1 + x2) / 2
    path = f"M {x1} {y1} C {middle} {y1 + bend}, {middle} {y2 + bend}, {x2} {y2}"
    ElementTree.SubElement(svg, "path", {"class": style, "d": path})
    # Lines cross in the middle and part at the boxes: that is where a label can be told to be theirs.
    x, y, anchor = (x1 + LABEL_OFFSET, y1, "start") if labels_at_start else (x2 - LABEL_OFFSET, y2, "end")
    for row, label in enumerate(labels):
        _text(svg, x, y - LABEL_OFFSET + 16 * row, label, "label", anchor=anchor)


def _draw_box(svg: ElementTree.Element, name: str, box: _Box) -> None:
    place = {"x": str(box.x), "y": str(box.y), "width": str(BOX_WIDTH), "height": str(BOX_HEIGHT), "rx": "5"}
    ElementTree.SubElement(svg, "rect", {"class": "box", "fill": COLORS[box.column], **place})
    text = name if len(name) <= 21 else f"{name[:20]}…"
    label = _text(svg, box.x + BOX_WIDTH / 2, box.y + BOX_HEIGHT / 2 + 4, text, "", anchor="middle")
    ElementTree.SubElement(label, "title").text = name


def _text(
    svg: ElementTree.Element, x: float, y: float, text: str, style: str, anchor: str = "start"
) -> ElementTree.Element:
    attributes = {"x": f"{x:g}", "y": f"{y:g}", "class": style, "text-anchor": anchor}
    element = ElementTree.SubElement(svg, "text", attributes)
    element.text = text
    return element
