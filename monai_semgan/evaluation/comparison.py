"""Two studies of the same patients, compared pairwise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import wilcoxon

from monai_semgan.errors import SemganError
from monai_semgan.evaluation.study import Study

FEWEST = 6
"""With fewer pairs the two-sided signed rank test cannot fall below .05 (2 / 2**5 = .0625)."""

RESAMPLES = 2000


@dataclass(frozen=True)
class Difference:
    """Dice of one study minus that of another.

    Attributes:
        organ: name, or `mean` of the organs.
        pairs: patients that both have scored.
        mean: mean difference.
        low: lower end of the 95 % bootstrap interval of the mean.
        high: upper end.
        p_value: of the Wilcoxon signed rank test; NaN with too few pairs.
    """

    organ: str
    pairs: int
    mean: float
    low: float
    high: float
    p_value: float


def compare(study: Study, other: Study, seed: int = 0) -> list[Difference]:
    """Differences in Dice by organ, and of the organs' mean, over patients that both studies scored.

    Raises:
        SemganError: if no patient is in both.
    """
    mine, theirs = ({p.patient: p for p in s.scored} for s in (study, other))
    common = [name for name in mine if name in theirs]
    if not common:
        raise SemganError("the two evaluations have no patient in common", remedy="evaluate the same data list")
    rows = []
    for organ in study.labels.values():
        pairs = [(mine[n].organs.get(organ), theirs[n].organs.get(organ)) for n in common]
        rows.append([a.dice - b.dice if a and b else math.nan for a, b in pairs])
    table = np.array(rows)
    known = np.isfinite(table)
    mean = np.where(known, table, 0).sum(0) / np.maximum(known.sum(0), 1)
    rng = np.random.default_rng(seed)
    names = [*study.labels.values(), "mean"]
    lines = [*table, np.where(known.any(0), mean, math.nan)]
    return [_difference(name, line[np.isfinite(line)], rng) for name, line in zip(names, lines, strict=True)]


def comparison_table(differences: list[Difference]) -> str:
    """The differences in Markdown, with a plain word where they carry no test."""
    lines = ["| organ | n | difference in Dice | 95 % interval | p (Wilcoxon) |", "|---|---|---|---|---|"]
    for d in differences:
        p = f"{d.p_value:.3g}" if math.isfinite(d.p_value) else "too few"
        lines.append(f"| {d.organ} | {d.pairs} | {d.mean:+.4f} | {d.low:+.4f} to {d.high:+.4f} | {p} |")
    if any(d.pairs < FEWEST for d in differences):
        lines += ["", f"Fewer than {FEWEST} patients cannot carry a test of significance."]
    return "\n".join(lines) + "\n"


def _difference(organ: str, values: np.ndarray, rng: np.random.Generator) -> Difference:
    if not len(values):
        return Difference(organ, 0, math.nan, math.nan, math.nan, math.nan)
    means = rng.choice(values, (RESAMPLES, len(values))).mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    p_value = math.nan
    if len(values) >= FEWEST:
        p_value = float(wilcoxon(values).pvalue) if np.any(values) else 1.0
    return Difference(organ, len(values), float(values.mean()), float(low), float(high), p_value)
