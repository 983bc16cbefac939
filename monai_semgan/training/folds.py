"""Cross-validation: the same training once for every fold, a summary over all, and for use the mean of the students."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from monai_semgan.errors import SemganError
from monai_semgan.modalities import MODALITIES
from monai_semgan.networks.weights import part, save_weights
from monai_semgan.slicing.model_settings import SETTINGS, find_settings
from monai_semgan.training.engine.record import is_complete
from monai_semgan.training.engine.run_files import FOLDS, STAGES, gather_weights, read_json, write_json
from monai_semgan.training.engine.run_lock import locked_run
from monai_semgan.training.engine.schedule import Slot
from monai_semgan.training.run import open_run, run_stages
from monai_semgan.training.training_settings import TrainSettings
from monai_semgan.utils.progress import NullProgress

if TYPE_CHECKING:
    from monai_semgan.training.engine.loop import StageResult
    from monai_semgan.utils.progress import Progress


@dataclass(frozen=True)
class FoldScore:
    """What one fold came to.

    Attributes:
        fold: such as `2/5`.
        finished: whether its training came to its end.
        dice: mean Dice of its validation; None before its end, or where it has none.
        organs: Dice by organ.
        patients: Dice by patient of the validation and organ; None for an organ that the label lacks.
    """

    fold: str
    finished: bool = False
    dice: float | None = None
    organs: Mapping[str, float | None] = field(default_factory=dict)
    patients: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class FoldsSummary:
    """All folds of a cross-validation.

    Attributes:
        stage: that is scored.
        folds: scores of each.
    """

    stage: str
    folds: Sequence[FoldScore]

    @property
    def finished(self) -> bool:
        """Whether all folds are."""
        return all(fold.finished for fold in self.folds)

    @property
    def organs(self) -> list[str]:
        """Names of the organs that any fold has scored."""
        return list(dict.fromkeys(name for fold in self.folds for name in fold.organs))

    def values(self, organ: str | None = None) -> list[float]:
        """Dice of the finished folds, of one organ or the mean over organs."""
        found = [fold.dice if organ is None else fold.organs.get(organ) for fold in self.folds if fold.finished]
        return [value for value in found if value is not None and math.isfinite(value)]

    def save(self, out: Path) -> None:
        """Write `folds.json`."""
        overall = {"dice": _mean_and_spread(self.values())}
        overall |= {organ: _mean_and_spread(self.values(organ)) for organ in self.organs}
        means = [scores["mean"] for scores in overall.values()]
        content = {
            "schema": 1,
            "stage": self.stage,
            "finished": self.finished,
            "over_folds": overall,
            "metrics": {"dice" if k == 0 else f"dice_{k}": mean for k, mean in enumerate(means)},
            "patients": [patient for fold in self.folds for patient in fold.patients],
        }
        write_json(out / FOLDS, {**content, "folds": [asdict(fold) for fold in self.folds]})

    def table(self) -> list[str]:
        """Lines of a table: folds, their mean and their standard deviation."""
        names = ["dice", *self.organs]
        widths = [max(5, len(name)) for name in names]
        rows = [("fold", names)]
        for fold in self.folds:
            rows.append((fold.fold, [_figure(value) for value in (fold.dice, *map(fold.organs.get, self.organs))]))
        columns = [self.values(), *(self.values(organ) for organ in self.organs)]
        rows.append(("mean", [_figure(statistics.fmean(column) if column else None) for column in columns]))
        spread = [_figure(statistics.stdev(column) if len(column) > 1 else None) for column in columns]
        rows.append(("spread", spread))
        return ["  ".join([f"{name:6}", *map(str.rjust, cells, widths)]) for name, cells in rows]


def train_folds(
    stage: str,
    datalist: str | Path,
    out: str | Path,
    settings: TrainSettings,
    count: int,
    *,
    progress: Progress | None = None,
) -> tuple[list[StageResult], FoldsSummary]:
    """Train a stage, or all, once for every fold of the labelled training patients.

    The folds lie in `fold_1`, `fold_2` ... of the folder, with one plan and one cache for all; `folds.json` there holds
    the scores, and `model.pt` the students of all folds, whose mean probability a bundle uses.

    Args:
        stage: as for `train`.
        datalist: MONAI data list (JSON).
        out: folder of the cross-validation.
        settings: of every fold; a time budget, and a slot, are those of all folds together.
        count: number of folds.
        progress: display and cancel, or None.

    Returns:
        How the stages of all folds ended, as far as this call came, and the scores.

    Raises:
        SemganError: on anything that the user can mend.
    """
    source, out = Path(datalist), Path(out)
    if settings.fold is not None:
        raise SemganError("all folds and a single one cannot be meant both", remedy="leave out --fold or --folds")
    if count < 2:
        raise SemganError(f"{count} folds are too few", remedy="give --folds 2 or more")
    if source.is_dir():
        raise SemganError("packed slices have no folds", remedy="give the data list", path=source)
    results: list[StageResult] = []
    own = replace(settings.with_share(1.0 / count), slot=None)
    slot = Slot(settings.slot_seconds)
    with open_run(stage, out, own) as (names, workers, own):
        for number in range(1, count + 1):
            chosen = replace(own, fold=f"{number}/{count}", slot=slot.left)
            folder = out / f"fold_{number}"
            with locked_run(folder, workers):
                ended = run_stages(names, source, folder, chosen, workers, progress or NullProgress(), home=out)
            results.extend(ended)
            workers.first(lambda: summarise(out, count).save(out))
            if not ended[-1].finished:
                break
        summary = summarise(out, count)
        if summary.finished:
            workers.first(lambda: write_ensemble(out, count))
    return results, summary


def summarise(out: Path, count: int) -> FoldsSummary:
    """Read the scores of the folds: those of the last stage that segments."""
    folders = [out / f"fold_{number}" for number in range(1, count + 1)]
    stage = next((name for name in reversed(STAGES) if (folders[0] / name / "record.json").exists()), STAGES[-1])
    return FoldsSummary(stage, [_score(folder, stage, f"{n}/{count}") for n, folder in enumerate(folders, start=1)])


def _score(folder: Path, stage: str, fold: str) -> FoldScore:
    record, settings = read_json(folder / stage / "record.json"), find_settings(folder)
    names = settings.labels if settings is not None else {}
    metrics, validation = record.get("metrics", {}), record.get("details", {}).get("validation_dice", {})
    count = settings.preprocessing.num_classes if settings is not None else 1
    organs = {names.get(k, str(k)): metrics.get(f"dice_{k}") for k in range(1, count)} if metrics else {}
    patients = {
        patient: {names.get(k, str(k)): value for k, value in enumerate(scores, start=1)}
        for patient, scores in validation.items()
    }
    return FoldScore(fold, is_complete(record), metrics.get("dice"), organs, patients)


def write_ensemble(out: Path, count: int) -> Path | None:
    """Put the students of all folds into one `model.pt`, with the settings beside it; None if there are none."""
    weights: dict[str, torch.Tensor] = {}
    for number in range(count):
        folder = out / f"fold_{number + 1}"
        if not (folder / "student").is_dir():
            return None
        state = part(gather_weights(folder / "student"), "student")
        weights |= {f"student.members.{number}.{name}": tensor for name, tensor in state.items()}
    folds = [find_settings(out / f"fold_{number + 1}") for number in range(count)]
    found = [settings for settings in folds if settings is not None]
    if found:  # a fold may lack the scans of a modality
        modality = tuple(name for name in MODALITIES if any(name in settings.modality for settings in found))
        replace(found[0], modality=modality).save(out / SETTINGS)
    save_weights(out / "model.pt", weights)
    return out / "model.pt"


def _mean_and_spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean and standard deviation over folds."""
    return {
        "mean": round(statistics.fmean(values), 4) if values else None,
        "spread": round(statistics.stdev(values), 4) if len(values) > 1 else None,
        "folds": len(values),
    }


def _figure(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.3f}"
