"""Results of a job on disk: one folder for every version, complete or not there.

    result/grid.json            grid of the scan, and where the slices lie
    result/3/result.json        what `GET /semgan/jobs/{id}/result` answers
    result/3/label.nrrd         on the scan's grid
    result/3/maps.npz           on the slices: (D, H, W) uint16
    result/3/latents.pt         of the slices that were searched, for corrections
    result/3/report.html
    result/3/residual.nii.gz    made from the above when somebody asks

Maps on the scan's own grid are ten times as large as on the slices, and few are ever looked at: they are made on
demand.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import shutil
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np

from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_label
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import write_label, write_map
from monai_semgan.jobs.contract import Part, Result, VolumeFormat
from monai_semgan.jobs.job_errors import Damaged
from monai_semgan.slicing.geometry import SliceGeometry
from monai_semgan.utils.files import write_error
from monai_semgan.utils.json_text import json_text

if TYPE_CHECKING:
    from monai_semgan.outputs.maps import SliceMap

GRID = "grid.json"
RESULT = "result.json"
MAPS = "maps.npz"
LABEL = "label.nrrd"
LATENTS = "latents.pt"
REPORT = "report.html"
LEVELS = 65535
STEPS = 4096
"""Maps that are given out are rounded to this fraction of their range, 0.1 HU for instance: they take a fifth then."""

KEPT = 2
"""Versions that stay: the newest, and the one before it, which somebody may be reading."""

DAMAGED = "the result is damaged on the server's disk; run the job again"

DAMAGE = (
    OSError,
    ValueError,
    RecursionError,
    KeyError,
    TypeError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    SemganError,
)
"""What reading a damaged file may raise."""

_rendering = threading.Lock()
"""Maps are large: one at a time."""


@contextmanager
def new_version(results: Path, version: int) -> Iterator[Path]:
    """Make a folder for a version; it takes its name when the block ends well and vanishes otherwise. Older ones go.

    Raises:
        SemganError: if something cannot be written.
    """
    aside = results / f".{secrets.token_hex(4)}.part"
    try:
        aside.mkdir(mode=0o700, parents=True)
        yield aside
        os.replace(aside, results / str(version))
    except OSError as error:
        raise write_error(error, results) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    for old in versions(results)[:-KEPT]:
        shutil.rmtree(results / str(old), ignore_errors=True)


@contextmanager
def page_aside(results: Path) -> Iterator[Path]:
    """Make a folder for a page to be written: beside the job's, which must not be made anew after its removal.

    Raises:
        OSError: if it cannot be made.
    """
    with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=results.parents[1]) as aside:
        yield Path(aside)


@contextmanager
def damage_told() -> Iterator[None]:
    """Within the block, files of a result are read; what cannot be understood is damaged.

    Raises:
        Damaged: if so.
        FileNotFoundError: if a file is gone.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except DAMAGE as error:
        raise Damaged(DAMAGED) from error


def share_files(before: Path, folder: Path) -> None:
    """Give a version the label, maps and latents of the one before, which are the same, without writing them again.

    Raises:
        OSError: if the disk is full, or the job was removed.
    """
    for name in (LABEL, MAPS, LATENTS):
        if (before / name).exists():
            try:
                os.link(before / name, folder / name)
            except OSError:  # a file system without links
                shutil.copyfile(before / name, folder / name)


def versions(results: Path) -> list[int]:
    """Return versions that are there, the best last."""
    try:
        return sorted(int(name) for name in os.listdir(results) if name.isdigit())
    except OSError:
        return []


def drop_versions(results: Path) -> None:
    """Remove all versions; what says where the slices lie stays."""
    for version in versions(results):
        shutil.rmtree(results / str(version), ignore_errors=True)


def parts_of(folder: Path) -> list[Part]:
    """Return parts that a version can give out."""
    parts = [Part.label] if (folder / LABEL).exists() else []
    if (folder / MAPS).exists():
        with contextlib.suppress(*DAMAGE), np.load(folder / MAPS) as maps:  # a damaged file has no maps
            parts += [part for part in (Part.reconstruction, Part.residual, Part.uncertainty) if part.value in maps]
    return parts + ([Part.report] if (folder / REPORT).exists() else [])


def read_result(folder: Path) -> Result:
    """Return what a version says of itself, with the parts that are there now.

    Raises:
        OSError: if it is gone.
        Damaged: if its file cannot be understood.
    """
    content = (folder / RESULT).read_bytes()
    with damage_told():
        result = Result.model_validate_json(content)
    return result.model_copy(update={"parts": parts_of(folder)})


def save_grid(results: Path, volume: Volume, geometry: SliceGeometry) -> None:
    """Note the grid of the scan, for maps that are made later."""
    header = getattr(volume.header, "binaryblock", None)
    grid = {
        "shape": [int(n) for n in volume.array.shape],
        "affine": volume.affine.tolist(),
        "other_affines": [affine.tolist() for affine in volume.other_affines],
        "header": None if header is None else base64.b64encode(header).decode(),
        "geometry": geometry.to_dict(),
    }
    results.mkdir(mode=0o700, parents=True, exist_ok=True)
    (results / GRID).write_text(json_text(grid), encoding="utf-8")


def other_grids(results: Path) -> list[np.ndarray]:
    """Return where other programs see the scan: (4, 4) each, voxel index to RAS mm; see `Volume.other_affines`.

    Raises:
        FileNotFoundError: if the result is gone.
        Damaged: if its file cannot be understood.
    """
    with damage_told():
        grid = json.loads((results / GRID).read_text(encoding="utf-8"))
        return [np.asarray(affine, dtype=np.float64) for affine in grid.get("other_affines", ())]


def slice_geometry(results: Path) -> SliceGeometry:
    """Return where the slices lie that were computed.

    Raises:
        FileNotFoundError: if the result is gone.
        Damaged: if its file cannot be understood.
    """
    with damage_told():
        return SliceGeometry.from_dict(json.loads((results / GRID).read_text(encoding="utf-8"))["geometry"])


def save_maps(folder: Path, maps: Mapping[str, SliceMap]) -> None:
    """Write maps on the slices.

    Args:
        folder: of a version.
        maps: by name, see `slice_maps`.
    """
    stored: dict[str, np.ndarray] = {}
    for name, one in maps.items():
        unit = np.clip((one.values.numpy() - one.low) / max(one.high - one.low, 1e-12), 0.0, 1.0)
        stored[name] = np.rint(unit * LEVELS).astype(np.uint16)
        stored[f"{name}_range"] = np.array([one.low, one.high, one.outside])
    np.savez(folder / MAPS, **stored)  # type: ignore[arg-type]


def part_file(results: Path, version: int, part: Part, form: VolumeFormat) -> Path | None:
    """Return a file of a version, made if need be; None if the version has no such part.

    Raises:
        SemganError: if it cannot be written.
        OSError: if the version is gone.
        Damaged: if the files that it is made from cannot be understood.
    """
    folder = results / str(version)
    if part is Part.report:
        return folder / REPORT if (folder / REPORT).exists() else None
    path = folder / f"{part.value}.{form.value}"
    if path.exists():
        return path
    with _rendering:
        if not path.exists() and not _make(results, folder, part, path):
            return None
    return path


def _make(results: Path, folder: Path, part: Part, path: Path) -> bool:
    if not (folder / (LABEL if part is Part.label else MAPS)).exists():
        return False
    if not (results / GRID).exists():
        raise Damaged(DAMAGED)
    with damage_told():
        grid = json.loads((results / GRID).read_text(encoding="utf-8"))
        like = _like(grid)
        made = _read_label(folder / LABEL) if part is Part.label else _map_on_scan(grid, folder / MAPS, part)
    if made is None:
        return False
    if part is Part.label:
        write_label(made, like, path)
    else:
        write_map(made, like, path)
    return True


def _map_on_scan(grid: Mapping[str, Any], path: Path, part: Part) -> np.ndarray | None:
    with np.load(path) as maps:
        if part.value not in maps:
            return None
        levels, (low, high, fill) = maps[part.value], maps[f"{part.value}_range"]
    geometry = SliceGeometry.from_dict(grid["geometry"])
    unit = geometry.restore(levels.astype(np.float32) / LEVELS, (fill - low) / max(high - low, 1e-12))
    unit *= STEPS
    np.rint(unit, out=unit)
    unit *= (high - low) / STEPS
    unit += low
    return unit


def _like(grid: Mapping[str, Any]) -> Volume:
    """Return the scan without its voxels."""
    header = None
    if grid["header"] is not None:
        block = base64.b64decode(grid["header"])
        kind = nibabel.Nifti1Header if len(block) == nibabel.Nifti1Header.sizeof_hdr else nibabel.Nifti2Header
        header = kind(block, check=False)
    empty = np.broadcast_to(np.int16(0), tuple(grid["shape"]))
    others = tuple(np.asarray(affine, dtype=np.float64) for affine in grid.get("other_affines", ()))
    return Volume(empty, np.asarray(grid["affine"], dtype=np.float64), None, header, other_affines=others)


def _read_label(path: Path) -> np.ndarray:
    return read_label(path).array
