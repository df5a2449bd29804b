"""Plots of an audit as inline SVG, drawn by hand: few lines, no library, no script."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

_COLOURS: Final = ("#3b6ea5", "#7fa8d1", "#d98032", "#4f9d69")
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 720, 260, 46, 40, 26
_POINTS: Final = 200
_SHOWN: Final = 0.99
"""Of each set: its largest values lie off the plot."""


def distributions(values: Mapping[str, np.ndarray], axis: str) -> str:
    """How much of each set lies below a value: one line a set.

    Args:
        values: finite numbers of each set, shape (n,); sets without any are left out.
        axis: what the numbers are, with their unit.
    """
    shown = {name: np.sort(numbers) for name, numbers in values.items() if len(numbers)}
    if not shown:
        return "<p>no values are known</p>"
    low = min(float(numbers[0]) for numbers in shown.values())
    # The longest one in a hundred would squeeze all others into the axis' first inch.
    high = max(float(np.quantile(numbers, _SHOWN)) for numbers in shown.values())
    width = (high - low) or 1.0
    parts = [_frame(axis, [(low + width * tick / 4, tick / 4) for tick in range(5)])]
    share = np.linspace(0, 1, _POINTS)
    for index, (name, numbers) in enumerate(shown.items()):
        x = (np.quantile(numbers, share) - low) / width
        shown_points = zip(x[x <= 1], share[x <= 1], strict=True)
        points = " ".join(f"{_x(a):.1f},{_y(b):.1f}" for a, b in shown_points)
        colour = _COLOURS[index % len(_COLOURS)]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        parts.append(_text(_LEFT + 10 + 150 * index, 14, f"{name} ({len(numbers):,})", colour))
    return _svg(parts, f"distribution of {axis}", _HEIGHT)


def bars(rows: Sequence[tuple[str, float]], axis: str, limit: float | None = None) -> str:
    """A bar a row, and a line where the limit is."""
    if not rows:
        return "<p>nothing to show</p>"
    longest = max([value for _, value in rows] + ([limit] if limit else [])) or 1.0
    left, height = 220, 22 * len(rows) + 34
    scale = (_WIDTH - left - 90) / longest
    parts = []
    for index, (name, value) in enumerate(rows):
        y = 4 + 22 * index
        parts.append(_text(left - 8, y + 13, name[:32], "currentColor", "end"))
        parts.append(
            f'<rect x="{left}" y="{y}" width="{value * scale:.1f}" height="16" fill="{_COLOURS[0]}" rx="2"/>'
        )
        parts.append(_text(left + value * scale + 6, y + 13, f"{value:,.3g}", "currentColor"))
    if limit:
        x = left + limit * scale
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height - 30}" stroke="{_COLOURS[2]}" '
            'stroke-width="1.5" stroke-dasharray="5 4"/>'
        )
    parts.append(_text(left, height - 8, axis, "currentColor"))
    return _svg(parts, axis, height)


def _frame(axis: str, ticks: Sequence[tuple[float, float]]) -> str:
    lines = []
    for value, x in ticks:
        lines.append(_text(_x(x), _HEIGHT - _BOTTOM + 16, f"{value:,.3g}", "currentColor", "middle"))
    for share in (0.0, 0.5, 1.0):
        lines.append(
            f'<line x1="{_x(0):.1f}" x2="{_x(1):.1f}" y1="{_y(share):.1f}" y2="{_y(share):.1f}" '
            'stroke="currentColor" stroke-opacity="0.2"/>'
        )
        lines.append(_text(_LEFT - 6, _y(share) + 4, f"{share:.0%}", "currentColor", "end"))
    lines.append(_text(_WIDTH / 2, _HEIGHT - 6, axis, "currentColor", "middle"))
    return "".join(lines)


def _x(share: float) -> float:
    return _LEFT + share * (_WIDTH - _LEFT - 16)


def _y(share: float) -> float:
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP)


def _text(x: float, y: float, text: str, colour: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="12" text-anchor="{anchor}">'
        f"{html.escape(text)}</text>"
    )


def _svg(parts: Sequence[str], title: str, height: float) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{html.escape(title)}" '
        f'font-family="inherit">{"".join(parts)}</svg>'
    )
