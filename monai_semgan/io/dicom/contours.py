"""Outlines of masks as polygons without holes: what readers of structure sets fill, each in its own way, is the mask.

Readers ask whether the centre of a pixel lies inside a polygon, or round its points to pixels and fill these with their
border. Outlines therefore run just inside the edges of the outermost pixels: around every centre, and nearer to it than
to the next. Holes are joined to the outline around them by a cut without width (PS3.3 C.8.8.6.3, keyhole), since most
readers fill every contour by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

INSET = 0.01
"""Pixels between the outline and the edge of the mask: pixels that touch at a corner stay apart."""

CUT = 0.25
"""Pixels between a cut and the centres of the row that it runs through, none of which may lie on it."""


@dataclass
class _Loop:
    """A closed line of corners; every second edge, beginning with the first, runs along a row.

    Args:
        corners: (N, 2) row and column.
        cuts: row of a cut, and the outline of the hole it leads to, by the edge along a column that it meets.
    """

    corners: np.ndarray
    cuts: dict[int, list[tuple[float, np.ndarray]]] = field(default_factory=dict)


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Return one polygon around every piece of a mask; pixels that touch at corners only are pieces of their own.

    Args:
        mask: (rows, columns), bool.

    Returns:
        Points (N, 2) of each, row and column in pixels; centres of pixels are whole numbers.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return []
    top, left = rows[0], columns[0]
    cropped = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 1)
    loops = _loops(*_corners(cropped))
    return [polygon + (top - 1, left - 1) for polygon in _joined(loops)]


def _corners(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners of the outline (N, 2) in units of half pixels, and where from each the inside lies (N, 2), +1 or -1."""
    quarters = {
        (-1, -1): mask[:-1, :-1],
        (-1, 1): mask[:-1, 1:],
        (1, -1): mask[1:, :-1],
        (1, 1): mask[1:, 1:],
    }
    count = sum(quarter.astype(np.uint8) for quarter in quarters.values())
    places, sides = [], []
    for side, quarter in quarters.items():
        opposite = quarters[-side[0], -side[1]]
        outward = quarter & ((count == 1) | ((count == 2) & opposite))
        inward = quarter & ~opposite & (count == 3)
        found = np.argwhere(outward | inward)
        places.append(2 * found + 1)
        sides.append(np.broadcast_to(side, found.shape))
    return np.concatenate(places), np.concatenate(sides)


def _loops(places: np.ndarray, sides: np.ndarray) -> list[_Loop]:
    """Follow edges from corner to corner; along a line of the grid every second gap between corners is an edge."""
    along_row = _partners(places[:, 0], sides[:, 0], places[:, 1], sides[:, 1])
    along_column = _partners(places[:, 1], sides[:, 1], places[:, 0], sides[:, 0])
    points = places / 2 + INSET * sides
    left = np.ones(len(points), dtype=bool)
    loops = []
    for start in range(len(points)):
        if not left[start]:
            continue
        chain, current = [], start
        while left[current]:
            other = along_row[current]
            chain += [current, other]
            left[current] = left[other] = False
            current = along_column[other]
        loops.append(_Loop(points[chain]))
    return loops


def _partners(line: np.ndarray, line_side: np.ndarray, place: np.ndarray, place_side: np.ndarray) -> list[int]:
    order = np.lexsort((place_side, place, line_side, line))
    partners = np.empty_like(order)
    partners[order[::2]], partners[order[1::2]] = order[1::2], order[::2]
    return list(partners.tolist())


def _joined(loops: list[_Loop]) -> list[np.ndarray]:
    """Polygons of the outer loops, with their holes; holes are taken from the right, so that theirs are known."""
    outer: list[tuple[float, int, int]] = []
    holes: list[tuple[float, int, int]] = []
    edges = [_edges(number, loop) for number, loop in enumerate(loops)]
    columns, tops, bottoms, owners = (np.concatenate(parts) for parts in zip(*edges, strict=True))
    for number, loop in enumerate(loops):
        first = int(np.lexsort((loop.corners[:, 0], loop.corners[:, 1]))[0])
        hole = (loop.corners[first, 1] % 1) * 2 < 1  # the inside lies left of its leftmost edge
        (holes if hole else outer).append((loop.corners[first, 1], number, first))
    for column, number, first in sorted(holes, reverse=True):
        row = np.floor(loops[number].corners[first, 0]) + 1 - CUT
        met = np.flatnonzero((columns < column) & (tops < row) & (row < bottoms))
        edge = int(met[np.argmax(columns[met])])
        owner = int(owners[edge, 0])
        opened = _opened(loops[number], first, row)
        loops[owner].cuts.setdefault(int(owners[edge, 1]), []).append((float(row), opened))
    return [_polygon(loops[number]) for _, number, _ in outer]


def _edges(number: int, loop: _Loop) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Edges along columns: their column, their ends, and loop and number of their first corner."""
    begin, end = loop.corners[1::2], np.roll(loop.corners, -1, 0)[1::2]
    names = np.stack([np.full(len(begin), number), np.arange(1, len(loop.corners), 2)], 1)
    return begin[:, 1], np.minimum(begin[:, 0], end[:, 0]), np.maximum(begin[:, 0], end[:, 0]), names


def _polygon(loop: _Loop) -> np.ndarray:
    """The corners of a loop, with everything that hangs on its cuts."""
    parts, begin = [], 0
    for edge in sorted(loop.cuts):
        parts.append(loop.corners[begin : edge + 1])
        begin = edge + 1
        column = loop.corners[edge, 1]
        down = loop.corners[(edge + 1) % len(loop.corners), 0] > loop.corners[edge, 0]
        for row, hole in sorted(loop.cuts[edge], key=lambda cut: cut[0], reverse=not down):
            parts += [np.array([[row, column]]), hole, np.array([[row, column]])]
    return np.concatenate([*parts, loop.corners[begin:]])


def _opened(loop: _Loop, first: int, row: float) -> np.ndarray:
    """The outline of a hole, beginning and ending where a cut meets its leftmost edge."""
    count = len(loop.corners)
    edge = first if first % 2 else (first - 1) % count
    mark = np.array([[row, loop.corners[first, 1]]])
    polygon = _polygon(loop)
    after = sum(2 + len(hole) for name, cuts in loop.cuts.items() if name <= edge for _, hole in cuts) + edge + 1
    turned = np.roll(polygon, -after, 0) if after < len(polygon) else polygon
    return np.concatenate([mark, turned, mark])
