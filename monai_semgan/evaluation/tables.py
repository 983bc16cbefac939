"""A study as JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.evaluation.metrics import OrganScore
from monai_semgan.evaluation.scores import PatientScore, Study
from monai_semgan.utils.files import write_utf8
from monai_semgan.utils.json_text import finite, json_text
from monai_semgan.utils.versions import versions

VOLUMES, PICTURES = ("mm", "ml"), ("pixels", "pixels")
"""Units of distances and of sizes."""

MEASURES = {
    "dice": "Dice",
    "hd95": "HD95 ({0})",
    "assd": "average surface distance ({0})",
    "error": "{1} error",
    "error_percent": "{2} error (%)",
}
"""Measures of an organ, and their titles for `title`."""

DISTANCES = ("hd95", "assd")


def units(study: Study) -> tuple[str, str]:
    """Units of the distances and sizes of a study: of pictures pixels."""
    scores = [score for patient in study.scored for score in patient.organs.values()]
    return PICTURES if any(score.in_pixels for score in scores) else VOLUMES


def title(measure: str, unit: tuple[str, str]) -> str:
    """What a measure is called, with its unit.

    Args:
        measure: one of `MEASURES`.
        unit: of distances and sizes.
    """
    size = "area" if unit == PICTURES else "volume"
    return MEASURES[measure].format(unit[0], f"{size}", size) + (f" ({unit[1]})" if measure == "error" else "")


def columns(unit: tuple[str, str]) -> tuple[str, ...]:
    """Columns of `scores.csv`; distances and sizes are called by their units."""
    far, size = unit
    return (
        "patient", "name", "modality", "organ", "dice", f"hd95_{far}", f"assd_{far}", f"reference_{size}",
        f"predicted_{size}", f"error_{size}", "error_percent", "seconds", "problem",
    )  # fmt: skip


def values(study: Study, organ: str, measure: str) -> np.ndarray:
    """Finite values `(P,)` of a measure of an organ over the scored patients."""
    found = np.array([getattr(p.organs[organ], measure) for p in study.scored if organ in p.organs], dtype=float)
    return found[np.isfinite(found)]


def distance_told(study: Study, organ: str) -> str:
    """The mean HD95 of an organ for a line of text, and of how many scans it is; empty where there is none."""
    found, count = values(study, organ, "hd95"), len(values(study, organ, "dice"))
    share = f" ({len(found)} of {count})" if len(found) < count else ""
    return f", HD95 {found.mean():.1f} {units(study)[0]}{share}" if len(found) else ""


def csv_text(study: Study) -> str:
    """One line for every scan and organ; one line with the problem for a scan without a score."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns(units(study)))
    for patient in study.patients:
        if patient.problem:
            writer.writerow([*_who(patient), *[""] * 9, patient.problem])
        for organ, score in patient.organs.items():
            if organ in study.unknown:
                continue
            numbers = (score.dice, score.hd95, score.assd, score.reference_size, score.predicted_size)
            cells = [*numbers, score.error, score.error_percent, patient.seconds]
            writer.writerow([*_who(patient), organ, *map(_cell, cells), _remark(score)])
    return stream.getvalue()


def markdown(study: Study, title: str = "Evaluation") -> str:
    """Tables by organ and by scan; what is missing stands first."""
    lines = [f"# {title}", "", f"{len(study.scored)} of {len(study.patients)} patients were scored.", ""]
    if study.missing:
        lines += ["**Without a score:**", ""]
        lines += [f"* {patient.title}: {patient.problem}" for patient in study.missing] + [""]
    organs = study.organs
    remarks = [
        f"* {p.title}: {n} {_remark(s)}"
        for p in study.scored
        for n, s in p.organs.items()
        if n in organs and _remark(s)
    ]
    if remarks:
        lines += ["**Organs on one side only** (Dice 0, or left out where neither has them):", "", *remarks, ""]
    if study.notes:
        lines += ["**Notes:**", "", *(f"* {line}" for line in study.notes), ""]
    if organs:
        lines += ["## By organ", "", *_organ_table(study, organs), "", "## Dice by patient", ""]
        lines += _patient_table(study, organs)
    settings = ", ".join(f"{key} {value}" for key, value in study.settings.items())
    return "\n".join([*lines, "", f"Settings: {settings or 'none'}.", ""])


def to_json(study: Study) -> dict[str, Any]:
    """Everything, for programs and to go on later."""
    return {
        "labels": {str(index): name for index, name in study.labels.items()},
        "settings": dict(study.settings),
        "versions": versions(),
        "notes": list(study.notes),
        "dice": study.dice,
        "patients": [finite(asdict(patient)) for patient in study.patients],
    }


def from_json(content: dict[str, Any]) -> Study:
    """A study from what `to_json` gave.

    Raises:
        KeyError: if parts are missing.
    """
    patients = []
    for item in content["patients"]:
        organs = {name: _score(score) for name, score in item["organs"].items()}
        seconds = math.nan if item["seconds"] is None else item["seconds"]
        told = item["patient"], item["modality"], organs, seconds, item["problem"]
        patients.append(PatientScore(*told, item.get("name", ""), item.get("state", {})))  # not in earlier versions
    labels = {int(index): name for index, name in content["labels"].items()}
    return Study(tuple(patients), labels, content["settings"], tuple(content.get("notes", ())))


def read_study(path: Path) -> Study:
    """Read a `scores.json`.

    Raises:
        SemganError: if it is missing or none.
    """
    try:
        return from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise SemganError("no such file", remedy="give the scores.json of an evaluation", path=path) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SemganError("is no scores.json of an evaluation", remedy="run it again", path=path) from error


def write_text(path: Path, text: str) -> Path:
    """Write a text file; it appears complete or not at all."""
    return write_utf8(path, text)


def write_json(study: Study, path: Path) -> Path:
    """Write a `scores.json`, which `read_study` takes back."""
    return write_text(path, json_text(to_json(study), indent=1) + "\n")


def write_study(study: Study, folder: Path, title: str = "Evaluation") -> list[Path]:
    """Write `scores.csv`, `scores.json` and `summary.md`.

    Raises:
        SemganError: if they cannot be written.
    """
    return [
        write_json(study, folder / "scores.json"),
        write_text(folder / "scores.csv", csv_text(study)),
        write_text(folder / "summary.md", markdown(study, title)),
    ]


def _measured(study: Study) -> list[str]:
    """Measures of a study: one without distances for structures that overlap has not computed them."""
    scores = [score for patient in study.scored for score in patient.organs.values()]
    without = any(score.dice > 0 and not math.isfinite(score.hd95) for score in scores)
    return [measure for measure in MEASURES if not (without and measure in DISTANCES)]


def _organ_table(study: Study, organs: list[str]) -> list[str]:
    measures = _measured(study)
    titles = [title(measure, units(study)) for measure in measures]
    lines = ["| organ | n | " + " | ".join(titles) + " |", "|---|---|" + "---|" * len(measures)]
    for organ in organs:
        count = len(values(study, organ, "dice"))
        cells = [_spread(values(study, organ, measure), count) for measure in measures]
        lines.append(f"| {organ} | {count} | {' | '.join(cells)} |")
    mean = study.dice.get("mean", math.nan)
    told = "Mean ± standard deviation (median); `2 of 4` where the organ is missing on one side in the other two."
    return [*lines, "", f"{told} Mean Dice of the organs: {mean:.4f}."]


def _patient_table(study: Study, organs: list[str]) -> list[str]:
    lines = ["| patient | " + " | ".join(organs) + " | mean |", "|---|" + "---|" * (len(organs) + 1)]
    for patient in study.scored:
        row = [patient.organs[organ].dice if organ in patient.organs else math.nan for organ in organs]
        present = [value for value in row if math.isfinite(value)]
        mean = f"{np.mean(present):.3f}" if present else "-"
        cells = [f"{value:.3f}" if math.isfinite(value) else "-" for value in row]
        lines.append(f"| {patient.title} | {' | '.join(cells)} | {mean} |")
    return lines


def _who(patient: PatientScore) -> list[str]:
    return [patient.patient, patient.key, patient.modality or ""]


def _spread(found: np.ndarray, count: int) -> str:
    """Mean, deviation and median, and of how many of `count` scans where not of all."""
    if not len(found):
        return f"- (0 of {count})" if count else "-"
    deviation = f" ± {_figure(found.std(ddof=1))}" if len(found) > 1 else ""
    share = f", {len(found)} of {count}" if len(found) < count else ""
    return f"{_figure(found.mean())}{deviation} ({_figure(np.median(found))}){share}"


def _figure(value: float) -> str:
    """Three digits, or all before the point where these are more."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _remark(score: OrganScore) -> str:
    if score.reference_size and not score.predicted_size:
        return "was not found"
    if score.predicted_size and not score.reference_size:
        return "was found, but is not in the label"
    return "" if score.reference_size else "is in neither"


def _cell(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else ""


def _score(kept: dict[str, Any]) -> OrganScore:
    """A score as `scores.json` keeps it; `null` stands for NaN."""
    told: dict[str, Any] = {name: math.nan if value is None else value for name, value in kept.items()}
    return OrganScore(**told)
