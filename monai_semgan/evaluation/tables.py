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

COLUMNS = (
    "patient", "name", "modality", "organ", "dice", "hd95_mm", "assd_mm", "reference_ml", "predicted_ml",
    "error_ml", "error_percent", "seconds", "problem",
)  # fmt: skip

MEASURES = {
    "dice": "Dice",
    "hd95": "HD95 (mm)",
    "assd": "average surface distance (mm)",
    "error_ml": "volume error (ml)",
    "error_percent": "volume error (%)",
}


def values(study: Study, organ: str, measure: str) -> np.ndarray:
    """Finite values `(P,)` of a measure of an organ over the scored patients."""
    found = np.array([getattr(p.organs[organ], measure) for p in study.scored if organ in p.organs], dtype=float)
    return found[np.isfinite(found)]


def csv_text(study: Study) -> str:
    """One line for every scan and organ; one line with the problem for a scan without a score."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for patient in study.patients:
        if patient.problem:
            writer.writerow([*_who(patient), *[""] * 9, patient.problem])
        for organ, score in patient.organs.items():
            numbers = (score.dice, score.hd95, score.assd, score.reference_ml, score.predicted_ml)
            cells = [*numbers, score.error_ml, score.error_percent, patient.seconds]
            writer.writerow([*_who(patient), organ, *map(_cell, cells), _remark(score)])
    return stream.getvalue()


def markdown(study: Study, title: str = "Evaluation") -> str:
    """Tables by organ and by scan; what is missing stands first."""
    lines = [f"# {title}", "", f"{len(study.scored)} of {len(study.patients)} patients were scored.", ""]
    if study.missing:
        lines += ["**Without a score:**", ""]
        lines += [f"* {patient.title}: {patient.problem}" for patient in study.missing] + [""]
    organs = [name for name in study.labels.values() if any(name in p.organs for p in study.scored)]
    remarks = [f"* {p.title}: {n} {_remark(s)}" for p in study.scored for n, s in p.organs.items() if _remark(s)]
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
        organs = {name: OrganScore(**_numbers(score)) for name, score in item["organs"].items()}
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


def _organ_table(study: Study, organs: list[str]) -> list[str]:
    lines = ["| organ | n | " + " | ".join(MEASURES.values()) + " |", "|---|---|" + "---|" * len(MEASURES)]
    for organ in organs:
        cells = [_spread(values(study, organ, measure)) for measure in MEASURES]
        lines.append(f"| {organ} | {len(values(study, organ, 'dice'))} | {' | '.join(cells)} |")
    mean = study.dice.get("mean", math.nan)
    return [*lines, "", f"Mean ± standard deviation (median). Mean Dice of the organs: {mean:.4f}."]


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


def _spread(found: np.ndarray) -> str:
    if not len(found):
        return "-"
    deviation = f" ± {found.std(ddof=1):.3g}" if len(found) > 1 else ""
    return f"{found.mean():.3g}{deviation} ({np.median(found):.3g})"


def _remark(score: OrganScore) -> str:
    if score.reference_ml and not score.predicted_ml:
        return "was not found"
    if score.predicted_ml and not score.reference_ml:
        return "was found, but is not in the label"
    return "" if score.reference_ml else "is in neither"


def _cell(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else ""


def _numbers(score: dict[str, float | None]) -> dict[str, float]:
    return {key: math.nan if value is None else float(value) for key, value in score.items()}
