"""Flame graphs as SVG: one box per frame, as wide as its share of the time, what it calls on top."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from zlib import crc32

from .stacks import Stacks

_WIDTH, _MARGIN, _ROW, _HEAD, _FOOT = 1200.0, 10.0, 17, 44, 24
_CHARACTER = 6.6
"""Width of a character of the font, about."""
_LEAST = 0.3
"""Boxes narrower than this many pixels are left out."""

_HOVER = """
  const told = document.getElementById('told');
  document.querySelectorAll('g.f').forEach(g => {
    g.onmouseover = () => { told.textContent = g.querySelector('title').textContent; };
    g.onmouseout = () => { told.textContent = ' '; };
  });
"""


@dataclass
class _Node:
    seconds: float = 0.0
    calls: dict[str, _Node] = field(default_factory=dict)


def svg(stacks: Stacks, title: str) -> str:
    """The picture: readable by itself, names of boxes on hovering."""
    root = _tree(stacks)
    height = _HEAD + _depth(root) * _ROW + _FOOT
    boxes: list[str] = []
    scale = (_WIDTH - 2 * _MARGIN) / root.seconds if root.seconds else 0.0
    _draw(root, "all", _MARGIN, height - _FOOT - _ROW, scale, root.seconds, boxes)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH:.0f}" height="{height}" '
            f'viewBox="0 0 {_WIDTH:.0f} {height}" font-family="monospace" font-size="11">',
            f'<rect width="100%" height="100%" fill="#fdfcf8"/>'
            f'<text x="{_WIDTH / 2:.0f}" y="22" text-anchor="middle" font-size="15">{escape(title)}</text>',
            *boxes,
            f'<text id="told" x="{_MARGIN}" y="{height - 8}"> </text>',
            f"<script>{_HOVER}</script>",
            "</svg>\n",
        ]
    )


def _tree(stacks: Stacks) -> _Node:
    root = _Node()
    for frames, seconds in stacks.items():
        node = root
        node.seconds += seconds
        for frame in frames:
            node = node.calls.setdefault(frame, _Node())
            node.seconds += seconds
    return root


def _depth(node: _Node) -> int:
    deepest, waiting = 0, [(node, 1)]
    while waiting:
        inner, depth = waiting.pop()
        deepest = max(deepest, depth)
        waiting += [(call, depth + 1) for call in inner.calls.values()]
    return deepest


def _draw(root: _Node, name: str, left: float, base: float, scale: float, whole: float, boxes: list[str]) -> None:
    waiting = [(root, name, left, base)]
    while waiting:
        node, frame, x, y = waiting.pop()
        width = node.seconds * scale
        if width < _LEAST:
            continue
        boxes.append(_box(frame, x, y, width, f"{frame}: {node.seconds:.2f} s, {100 * node.seconds / whole:.1f} %"))
        for inner, call in sorted(node.calls.items()):
            waiting.append((call, inner, x, y - _ROW))
            x += call.seconds * scale


def _box(frame: str, x: float, y: float, width: float, told: str) -> str:
    room = int((width - 6) / _CHARACTER)
    shown = frame if len(frame) <= room else frame[: room - 2] + ".." if room >= 5 else ""
    text = f'<text x="{x + 3:.1f}" y="{y + 12:.1f}">{escape(shown)}</text>' if shown else ""
    return (
        f'<g class="f"><title>{escape(told)}</title>'
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width - 0.5, 0.3):.1f}" height="{_ROW - 1}" rx="1" '
        f'fill="{_colour(frame)}"/>{text}</g>'
    )


def _colour(frame: str) -> str:
    """Warm, and the same for the same file."""
    number = crc32(frame.split(":", maxsplit=1)[0].encode())
    return f"hsl({10 + number % 45},{65 + number // 64 % 25}%,{68 + number // 4096 % 12}%)"
