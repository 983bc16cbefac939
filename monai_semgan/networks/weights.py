"""Reading and writing of weights: tensors only, written aside and renamed, with errors a user can act on."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from monai_semgan.errors import SemganError
from monai_semgan.utils.files import write_error, written_aside

StateDict = dict[str, torch.Tensor]


def save_weights(path: str | Path, state: Mapping[str, torch.Tensor], half: bool = True) -> None:
    """Write a state dict, in half precision by default; an existing file is replaced only by a complete one.

    Raises:
        SemganError: if the file cannot be written.
    """
    tensors = {k: (v.half() if half and v.is_floating_point() else v).detach().cpu() for k, v in state.items()}
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    with _writing(path) as temporary, zipfile.ZipFile(buffer) as loose, zipfile.ZipFile(temporary, "w") as packed:
        for entry in loose.infolist():
            # names compress to a sixth, tensors hardly
            compression = zipfile.ZIP_DEFLATED if entry.filename.endswith("data.pkl") else zipfile.ZIP_STORED
            packed.writestr(entry.filename, loose.read(entry), compression)


def save_atomically(path: str | Path, content: object) -> None:
    """`torch.save` to a temporary file beside `path`, then rename.

    Raises:
        SemganError: if the file cannot be written.
    """
    with _writing(path) as temporary, open(temporary, "wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _writing(path: str | Path) -> Iterator[Path]:
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, path) from error
    with written_aside(path) as temporary:
        try:
            yield temporary
        except RuntimeError as error:  # how torch.save reports that a file cannot be written
            raise SemganError(f"cannot be written ({error})", remedy="make room", path=path) from error


def load_weights(path: str | Path, device: torch.device | str = "cpu") -> StateDict:
    """Read a state dict of tensors; half precision becomes single precision.

    Raises:
        SemganError: if the file is missing, truncated, or holds anything but tensors of finite numbers.
    """
    content = load_tensors(path, device)
    if not isinstance(content, dict) or not all(isinstance(v, torch.Tensor) for v in content.values()):
        raise SemganError("holds no plain state dict", remedy="give a weights file made by semgan", path=path)
    refuse_not_finite(content, path)
    return {k: v.float() if v.is_floating_point() else v for k, v in content.items()}


def refuse_not_finite(state: Mapping[str, object], path: str | Path) -> None:
    """Refuse weights of a training that has diverged: whatever is computed with them is no number either.

    Args:
        state: tensors by name, or further mappings of such.
        path: for the message.

    Raises:
        SemganError: naming the first tensor that holds a value which is no finite number.
    """
    for name, value in state.items():
        if isinstance(value, Mapping):
            refuse_not_finite({f"{name}.{key}": inner for key, inner in value.items()}, path)
        elif isinstance(value, torch.Tensor) and value.is_floating_point() and not bool(torch.isfinite(value).all()):
            problem = f"holds weights that are no finite numbers ({name}): the training has diverged"
            raise SemganError(problem, remedy="take older weights, or train with a lower learning_rate", path=path)


def load_tensors(path: str | Path, device: torch.device | str = "cpu") -> object:
    """`torch.load` without unpickling objects, with a readable error.

    Raises:
        SemganError: if the file cannot be read as weights.
    """
    path = Path(path)
    if not path.is_file():
        raise SemganError("no such weights file", remedy="check the path or train first", path=path)
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, zipfile.BadZipFile, OSError, ValueError, KeyError) as error:
        raise SemganError(
            "not a readable weights file (truncated, or not made by torch.save)",
            remedy="copy it again or train again",
            path=path,
        ) from error


def load_into(module: nn.Module, state: Mapping[str, torch.Tensor], path: str | Path | None = None) -> None:
    """Load a state dict strictly.

    Raises:
        SemganError: if names or shapes do not fit the module; the first misfit is named.
    """
    own = module.state_dict()
    missing = [k for k in own if k not in state]
    surplus = [k for k in state if k not in own]
    shapes = [k for k in own if k in state and own[k].shape != state[k].shape]
    if shapes:
        name = shapes[0]
        problem = f"weights of another architecture: {name} is {tuple(state[name].shape)}, not {tuple(own[name].shape)}"
    elif missing or surplus:
        problem = f"weights of another architecture: {'lacks ' + missing[0] if missing else 'unknown ' + surplus[0]}"
    else:
        module.load_state_dict(dict(state), strict=True)
        return
    raise SemganError(problem, remedy="use weights trained for this bundle's network_def", path=path)


def part(state: Mapping[str, torch.Tensor], prefix: str) -> StateDict:
    """Take the entries below `prefix.`, without it; empty if there are none."""
    return {k[len(prefix) + 1 :]: v for k, v in state.items() if k.startswith(prefix + ".")}


def with_prefix(state: Mapping[str, torch.Tensor], prefix: str) -> StateDict:
    """Put all entries below `prefix.`."""
    return {f"{prefix}.{k}": v for k, v in state.items()}
