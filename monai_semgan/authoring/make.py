"""A bundle of a run in one step: configurations like the run, its weights, figures and texts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_semgan.authoring.create import check_labels, create_like, write_json
from monai_semgan.authoring.fill import fill_bundle, run_settings
from monai_semgan.authoring.readme import SCANS, dice_table, with_section
from monai_semgan.bundle.labels import METADATA, RECORD, dice_by_label, read_json
from monai_semgan.errors import SemganError
from monai_semgan.networks.slice_sizes import GENERATOR_SIZES
from monai_semgan.organs import RESEARCH_ONLY, find_organ
from monai_semgan.slicing.model_settings import ModelSettings
from monai_semgan.training.engine.run_files import read_json as read_record
from monai_semgan.training.engine.run_files import stage_folders, with_folds
from monai_semgan.utils.files import folder_aside, utf8

logger = logging.getLogger(__name__)

SEPARATORS = "/\\\0"
"""Of paths, on any system, and what no name has: bundles travel."""

ALONE = """\
A feed-forward network (U-Net) trained on labelled scans and randomised contrast: `network_def` runs it, and
`models/model.pt` holds it in half precision. It has no generator and no encoder: the one mode is `preview`, and there
are no synthetic images.
"""
"""What the readme says of the model where a student was trained alone."""


def make_bundle(
    run: str | Path, out: str | Path | None = None, *, name: str | None = None, authors: str | None = None
) -> Path:
    """Make a bundle of a trained run: all that a new bundle asks for stands in the run's settings.

    Args:
        run: folder of `semgan train`.
        out: folder of the bundle, must not exist yet; `name` here when left out.
        name: of the bundle in its texts; that of the folder when left out.
        authors: for the metadata.

    Returns:
        The folder, complete or not there at all.

    Raises:
        SemganError: if the run has trained nothing, does not tell its labels or modality, the bundle exists, or the
            name is none of a folder.
    """
    run = Path(run)
    if name is not None and (not name.strip() or name in (".", "..") or set(name) & set(SEPARATORS)):
        problem = f"a bundle cannot be called {name!r}"
        raise SemganError(problem, remedy="give a --name without / and \\, and the place with --out")
    kept = _settings(run)
    folder = Path(out) if out is not None else Path(name or f"{run.resolve().name}_bundle")
    if folder.exists():
        raise SemganError("exists already", remedy="choose another --out or delete it", path=folder)
    with folder_aside(folder, name) as made:
        labels = check_labels([kept.labels[index] for index in sorted(kept.labels)])
        create_like(made, labels, "/".join(kept.modality), kept.preprocessing, authors=authors)
        fill_bundle(made, [run])
        _tell_figures(made, run, kept)
    return folder


def _settings(run: Path) -> ModelSettings:
    """Settings of a run that tell everything a bundle has to know."""
    if not run.is_dir() or not any(map(stage_folders, with_folds([run]))):
        raise SemganError("no trained run", remedy="train it first: semgan train all --out RUN", path=run)
    kept = run_settings([run])
    if kept is None:
        remedy = "make its bundle with `semgan bundle new` and `semgan bundle fill`"
        raise SemganError("a run of 0.1, which does not tell its settings", remedy=remedy, path=run)
    missing = [index for index in range(1, kept.preprocessing.num_classes) if index not in kept.labels]
    if missing:
        problem = f"nothing names class {missing[0]} (id {kept.label_ids[missing[0] - 1]} in label files)"
        remedy = "name it in labels of settings.json in the run"
        raise SemganError(problem, remedy=remedy, path=run)
    if not kept.modality:
        raise SemganError("nothing tells the modality", remedy='write it as "modality": ["CT"] there', path=run)
    if kept.preprocessing.size not in GENERATOR_SIZES:  # of a student alone
        sizes = ", ".join(map(str, GENERATOR_SIZES))
        problem = f"bundles have no slices of {kept.preprocessing.size} pixels"
        raise SemganError(problem, remedy=f"train with one of {sizes}", path=run)
    if len(kept.modality) > 1:
        logger.warning(
            "the run was trained on %s: inversions treat all but %s as scans of another modality",
            " and ".join(kept.modality),
            kept.modality[0],
        )
    return kept


def _tell_figures(bundle: Path, run: Path, kept: ModelSettings) -> None:
    """Write the validation of the run into record, metadata and readme of its bundle."""
    record = read_json(bundle / RECORD)
    student = record.get("training", {}).get("student", {})
    scored = int(student.get("data", {}).get("validation", 0) or 0)
    dice = validation_dice(student.get("metrics", {}), kept.labels) if scored else {}
    where = f"{'/'.join(kept.modality)} validation"
    if dice:
        record["dice"] = {where: {"preview": dice}}
        write_json(bundle / RECORD, record)
        metadata = read_json(bundle / METADATA) | {"eval_metrics": {"mean_dice": dice["mean"]}}
        write_json(bundle / METADATA, metadata)
    readme = bundle / "docs" / "README.md"
    text = readme.read_text(encoding="utf-8")
    table = dice_table(kept.labels, dice_by_label(record, kept.labels))
    how = (
        f"Dice of the preview in {scored} validation patients, measured in the training on the grid of the slices.\n"
        "Measure it on scans of your own with `semgan evaluate`.\n\n"
        if dice
        else "No labelled patient was kept for validation: measure it with `semgan evaluate`.\n\n"
    )
    text = with_section(text, "Performance", how + table)
    if "gan" not in record.get("training", {}):
        text = with_section(text, "Model Description", ALONE)
    body = _data_section(run, kept, _old_preprocessing(text))
    readme.write_bytes(utf8(with_section(text, "Data", body)))


def validation_dice(metrics: Mapping[str, Any], labels: Mapping[int, str]) -> dict[str, float]:
    """Dice by structure name, and `mean`, from the metrics of a record (`dice`, `dice_1`, ...); empty without any."""
    found = {
        name: float(metrics[f"dice_{index}"])
        for index, name in labels.items()
        if isinstance(metrics.get(f"dice_{index}"), (int, float))
    }
    mean = metrics.get("dice")
    return {**found, "mean": float(mean)} if found and isinstance(mean, (int, float)) else {}


def _old_preprocessing(text: str) -> str:
    """The part of the section on the data that tells how scans become slices."""
    start = text.find("#### **Preprocessing**")
    end = text.find("\n## ", start)
    return text[start:end].strip() if start >= 0 else ""


def _data_section(run: Path, kept: ModelSettings, preprocessing: str) -> str:
    folders = [folder for place in (run, *sorted(run.glob("fold_*"))) for folder in stage_folders(place)]
    records = [read_record(folder / "record.json").get("data", {}) for folder in folders]
    labelled = {patient for data in records for patient in data.get("labelled", ())}
    unlabelled = {patient for data in records for patient in data.get("unlabelled", ())} - labelled
    scans = " and ".join(SCANS.get(name, name) for name in kept.modality)
    rows = [f"| {index} | {name} | {find_organ(name, index).coded} |" for index, name in kept.labels.items()]
    return (
        f"Own data ({scans}): {len(labelled)} labelled and {len(unlabelled)} unlabelled patients.\n"
        f"Terms: `docs/data_license.txt`. {RESEARCH_ONLY}.\n\n"
        "| class | structure | SNOMED CT |\n| --- | --- | --- |\n" + "\n".join(rows) + f"\n\n{preprocessing}"
    )
