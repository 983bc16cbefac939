"""Losses over a training, as few points as a curve needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

MOST = 240
"""Points that are kept: of more, every two neighbours become their mean."""


class LossHistory:
    """Points of a curve of losses, evenly spread over the training however long it becomes.

    Args:
        entries: what an earlier process has kept.
    """

    def __init__(self, entries: Sequence[Mapping[str, float]] = ()) -> None:
        self.entries: list[dict[str, float]] = [dict(entry) for entry in entries]
        self._waiting: list[dict[str, float]] = []

    def add(self, step: int, losses: Mapping[str, float]) -> None:
        """Keep the losses after `step` steps; readings that lie closer than the points become their mean.

        Args:
            step: steps done.
            losses: by name.
        """
        self._waiting.append({"step": step, **losses})
        if len(self.entries) > 1:
            spacing = self.entries[1]["step"] - self.entries[0]["step"]
            if step - self.entries[-1]["step"] < spacing:
                return
        self.entries.append(_mean(self._waiting))
        self._waiting.clear()
        if len(self.entries) > MOST:
            self.entries = [_mean(self.entries[n : n + 2]) for n in range(0, len(self.entries) - 1, 2)]


def _mean(points: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each loss over the points that have it, at the last one's step."""
    names = dict.fromkeys(name for point in points for name in point)
    values = {name: [point[name] for point in points if name in point] for name in names}
    means = {name: sum(found) / len(found) for name, found in values.items()}
    return {**means, "step": points[-1]["step"]}
