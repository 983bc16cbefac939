"""Two studies of the same patients, compared pairwise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import wilcoxon

from monai_semgan.errors import SemganError
from monai_semgan.evaluation.scores import PatientScore, Study

FEWEST = 6
"""With fewer pairs the two-sided signed rank test cannot fall below .05 (2 / 2**5 = .0625)."""

RESAMPLES = 2000


@dataclass(frozen=True)
class Difference:
    """Dice of one study minus that of another.

    Attributes:
        organ: name, or `mean` of the organs.
        pairs: scans that both have scored.
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
    """Differences in Dice by organ, and of the organs' mean, over scans that both studies scored.

    Raises:
        SemganError: if no scan is in both, or it cannot be told which is which.
    """
    common = pairs_of(study, other)
    unknown = study.unknown | other.unknown
    organs = [organ for organ in study.labels.values() if organ not in unknown]
    rows = []
    for organ in organs:
        pairs = [(one.organs.get(organ), two.organs.get(organ)) for one, two in common]
        rows.append([a.dice - b.dice if a and b else math.nan for a, b in pairs])
    table = np.array(rows)
    known = np.isfinite(table)
    mean = np.where(known, table, 0).sum(0) / np.maximum(known.sum(0), 1)
    rng = np.random.default_rng(seed)
    names = [*organs, "mean"]
    lines = [*table, np.where(known.any(0), mean, math.nan)]
    return [_difference(name, line[np.isfinite(line)], rng) for name, line in zip(names, lines, strict=True)]


def pairs_of(study: Study, other: Study) -> list[tuple[PatientScore, PatientScore]]:
    """Scores of the same scans: of one name, or of one patient who has one scan in each study.

    Raises:
        SemganError: if there are none, or it cannot be told which is which.
    """
    named = {score.key: score for score in other.scored if score.name}
    found = [(score, named[score.key]) for score in study.scored if score.name and score.key in named]
    taken = {id(score) for pair in found for score in pair}
    mine, theirs = (_by_patient([s for s in one.scored if id(s) not in taken]) for one in (study, other))
    for patient in mine.keys() & theirs.keys():
        if len(mine[patient]) > 1 or len(theirs[patient]) > 1:
            problem = f"the evaluations hold {len(mine[patient])} and {len(theirs[patient])} scans of {patient}"
            remedy = "evaluate the same data list with this version, which tells the names of scans"
            raise SemganError(f"{problem}: which is which cannot be told", remedy=remedy)
    found += [(mine[patient][0], theirs[patient][0]) for patient in mine if patient in theirs]
    if not found:
        raise SemganError("the two evaluations have no patient in common", remedy="evaluate the same data list")
    place = {id(score): number for number, score in enumerate(study.scored)}
    return sorted(found, key=lambda pair: place[id(pair[0])])


def other_references(study: Study, other: Study) -> list[str]:
    """Titles of scans whose labels differ in size between the studies: another scan, or a label that was changed."""

    def differs(one: PatientScore, two: PatientScore) -> bool:
        sizes = [(one.organs[n].reference_size, two.organs[n].reference_size) for n in one.organs if n in two.organs]
        return not all(math.isclose(a, b, rel_tol=1e-3) for a, b in sizes)

    return [one.title for one, two in pairs_of(study, other) if differs(one, two)]


def _by_patient(scores: Sequence[PatientScore]) -> dict[str, list[PatientScore]]:
    found: dict[str, list[PatientScore]] = {}
    for score in scores:
        found.setdefault(score.patient, []).append(score)
    return found


def comparison_table(differences: list[Difference], doubtful: Sequence[str] = ()) -> str:
    """The differences in Markdown, with a plain word where they carry no test.

    Args:
        differences: see `compare`.
        doubtful: titles of scans, see `other_references`.
    """
    lines = ["| organ | n | difference in Dice | 95 % interval | p (Wilcoxon) |", "|---|---|---|---|---|"]
    for d in differences:
        p = f"{d.p_value:.3g}" if math.isfinite(d.p_value) else "too few"
        lines.append(f"| {d.organ} | {d.pairs} | {d.mean:+.4f} | {d.low:+.4f} to {d.high:+.4f} | {p} |")
    if any(d.pairs < FEWEST for d in differences):
        lines += ["", f"Fewer than {FEWEST} patients cannot carry a test of significance."]
    if doubtful:
        lines += ["", f"The labels differ between the two evaluations, or the scans do: {', '.join(doubtful)}."]
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
