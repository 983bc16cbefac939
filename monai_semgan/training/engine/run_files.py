"""The files of a run beside the checkpoint: small weight files and the JSON record, all written atomically."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from monai_semgan.errors import SemganError
from monai_semgan.networks.weights import load_tensors, load_weights, refuse_not_finite, save_weights
from monai_semgan.utils.files import written_aside
from monai_semgan.utils.json_text import json_text

#: Most bytes of one weight file: what fits through the narrowest channel from a GPU machine, and into git.
WEIGHT_FILE_LIMIT = 16 * 2**20

#: Stages in their order, and the sub-folder of a run that each owns.
STAGES = ("gan", "encoder", "student")

#: What was decided about the data of a run, to look at.
PLAN_PAGE = "plan.html"

#: Scores of a cross-validation, in the folder that holds its folds.
FOLDS = "folds.json"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a run killed at any moment, sees the old or the new one, never a part.

    Raises:
        SemganError: if the file cannot be written.
    """
    with written_aside(path) as temporary:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file atomically; numbers that are not finite become null."""
    write_bytes(path, (json_text(content, indent=2, default=str) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """The content of a JSON file, or an empty dictionary when there is none that can be read."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU without running any code from it.

    Raises:
        SemganError: if it is no checkpoint, or its weights are no numbers.
    """
    state = load_tensors(path)
    if not isinstance(state, dict) or "step" not in state:
        raise SemganError("is no checkpoint of a training run", remedy="delete it to start again", path=path)
    refuse_not_finite(state, path)
    return state


def save_weight_files(folder: Path, stem: str, state: Mapping[str, torch.Tensor]) -> list[Path]:
    """Write weights in half precision as `stem.pt`, `stem-2.pt` ...: each at most 16 MiB.

    A single tensor above the limit gets a file of its own.
    """
    shards: list[dict[str, torch.Tensor]] = [{}]
    used = 0
    for name, tensor in state.items():
        size = tensor.numel() * (2 if tensor.is_floating_point() else tensor.element_size()) + 1024
        if shards[-1] and used + size > WEIGHT_FILE_LIMIT:
            shards.append({})
            used = 0
        shards[-1][name] = tensor
        used += size
    paths = [folder / (f"{stem}.pt" if i == 0 else f"{stem}-{i + 1}.pt") for i in range(len(shards))]
    for path, shard in zip(paths, shards, strict=True):
        save_weights(path, shard, half=True)
    for old in set(folder.glob(f"{stem}-[0-9]*.pt")) - set(paths):
        old.unlink()
    return paths


def stage_folders(run: Path) -> list[Path]:
    """Folders of a run in which a stage has left something: those of `STAGES` first, then those of other programs."""
    names = ("record.json", "checkpoint.pt", "weights*.pt")
    found = [folder for folder in sorted(run.glob("*")) if folder.is_dir() and any(any(folder.glob(n)) for n in names)]
    return sorted(found, key=lambda folder: STAGES.index(folder.name) if folder.name in STAGES else len(STAGES))


def gather_weights(source: str | Path) -> dict[str, torch.Tensor]:
    """Weights from a file, a folder of weight files, or a whole run (whose later stages win).

    Returns:
        State dict with the prefixes `generator.`, `encoder.`, `student.`, `image_discriminator.` and
        `joint_discriminator.` for the parts that were found.

    Raises:
        SemganError: if nothing is there or a file cannot be read.
    """
    source = Path(source)
    if source.is_dir():
        folders = [source, *stage_folders(source)]
        paths = [p for folder in folders for p in sorted(folder.glob("[!.]*.pt")) if p.name != "checkpoint.pt"]
        if any(p.parent != source for p in paths):
            paths = [p for p in paths if p.name != "model.pt"]
        if not paths:
            raise SemganError("holds no weights", remedy="name a .pt file or the folder of a run", path=source)
    elif source.is_file():
        paths = [source]
    else:
        raise SemganError("not found", remedy="check --init", path=source)
    weights: dict[str, torch.Tensor] = {}
    for path in paths:
        weights.update(load_weights(path))
    return weights


def write_combined(run: Path) -> Path | None:
    """Collect the averaged generator, encoder and student of a run into `model.pt`.

    Returns:
        The file, or None when no part exists yet.
    """
    weights: dict[str, torch.Tensor] = {}
    for folder in stage_folders(run):
        for path in sorted(folder.glob("weights*.pt")):
            weights.update(load_weights(path))
    if not weights:
        return None
    save_weights(run / "model.pt", weights, half=True)
    return run / "model.pt"


def with_folds(paths: Sequence[Path]) -> list[Path]:
    """Put the first fold before the folder of a cross-validation, whose own weights are of the students alone."""
    places = [[path / "fold_1", path] if (path / FOLDS).is_file() else [path] for path in paths]
    return [place for found in places for place in found]
