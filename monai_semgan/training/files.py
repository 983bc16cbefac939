"""The files of a run: full checkpoints, small weight files and the JSON record, all written atomically."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import torch

from monai_semgan.errors import SemganError
from monai_semgan.networks.weights import load_weights, save_weights

#: Most bytes of one weight file: what fits through the narrowest channel from a GPU machine, and into git.
WEIGHT_FILE_LIMIT = 16 * 2**20

#: Stages in their order, and the sub-folder of a run that each owns.
STAGES = ("gan", "encoder", "student")


def write_atomically(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Write a file so that a reader, or a run killed at any moment, sees the old or the new one, never a part.

    Raises:
        SemganError: if the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False)  # noqa: SIM115
    except OSError as error:
        raise SemganError(f"cannot be written ({error.strerror})", remedy="choose another --out", path=path) from error
    try:
        with handle:
            write(handle)
            handle.flush()
            os.fsync(handle.fileno())
        os.chmod(handle.name, 0o644)
        os.replace(handle.name, path)
    except BaseException as error:
        Path(handle.name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            problem = f"cannot be written ({error.strerror or error})"
            raise SemganError(problem, remedy="free some space or choose another --out", path=path) from error
        raise


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file atomically."""
    text = json.dumps(content, indent=2, sort_keys=False, default=str) + "\n"
    write_atomically(path, lambda handle: handle.write(text.encode()) and None)


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write the full state of a stage (tensors, numbers, strings, lists and dictionaries only) atomically."""
    write_atomically(path, lambda handle: torch.save(dict(state), handle))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU without running any code from it.

    Raises:
        SemganError: if it is no checkpoint.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        problem = "is no readable checkpoint"
        raise SemganError(problem, remedy="delete it to start again", path=path) from error
    if not isinstance(state, dict) or "step" not in state:
        raise SemganError("is no checkpoint of a training run", remedy="delete it to start again", path=path)
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
    return paths


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
        folders = [source, *(source / stage for stage in STAGES if (source / stage).is_dir())]
        paths = [p for folder in folders for p in sorted(folder.glob("*.pt")) if p.name != "checkpoint.pt"]
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


def part(weights: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The entries under `prefix.`, without it; empty when there are none."""
    start = prefix + "."
    return {name[len(start) :]: tensor for name, tensor in weights.items() if name.startswith(start)}


def with_prefix(state: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The state dict with `prefix.` before every name."""
    return {f"{prefix}.{name}": tensor for name, tensor in state.items()}
