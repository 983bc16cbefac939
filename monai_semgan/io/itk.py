"""Reads and writes NRRD and MetaImage (MHA, MHD) with SimpleITK, whose world is LPS, not RAS."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from SimpleITK import ProcessObject

from monai_semgan.errors import SemganError
from monai_semgan.io.itk_header import check_header
from monai_semgan.io.itk_names import readable_by_itk, writable_by_itk
from monai_semgan.io.limits import check_voxels
from monai_semgan.io.reading import GUESSED
from monai_semgan.io.volume import Volume

LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Turns LPS mm into RAS mm, and back."""


def read_itk(path: Path) -> Volume:
    """Read NRRD or MetaImage: float32, or int16 where the file holds 8- or 16-bit numbers that fit.

    Raises:
        SemganError: the file is broken, does not tell its voxel spacing, or does not hold plain numbers.
    """
    layers, affine, _, placed = _read(path, layers=False)
    return Volume(layers[..., 0], affine, path, None, () if placed else (GUESSED,))


def read_layers(path: Path) -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
    """Voxels of one or several values (I, J, K, values), their (4, 4) affine to RAS mm, and the header's fields.

    Raises:
        SemganError: as `read_itk`.
    """
    layers, affine, fields, _ = _read(path, layers=True)
    return layers, affine, fields


def _read(path: Path, layers: bool) -> tuple[np.ndarray, np.ndarray, dict[str, str], bool]:
    placed = check_header(path)
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if path.suffix.lower() in (".nrrd", ".nhdr") else "MetaImageIO")
    try:
        with quiet_itk(), readable_by_itk(path) as name:
            reader.SetFileName(name)
            reader.ReadImageInformation()
            channels, kind = reader.GetNumberOfComponents(), SimpleITK.GetPixelIDValueAsString(reader.GetPixelID())
            check_voxels((*reader.GetSize(), channels), path)  # as ITK has understood the header
            _check_kind(channels, kind, layers, path)
            image = reader.Execute()
            array = _small(SimpleITK.GetArrayViewFromImage(image))
            fields = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()} if layers else {}
            affine, count = affine_of(image), image.GetDimension()
    except SemganError:
        raise
    except Exception as error:  # SimpleITK raises RuntimeError for all that can be wrong, MemoryError not always
        problem = "not a readable image, or it is cut off"
        raise SemganError(problem, remedy="copy or export it again", path=path) from error
    array = array if channels > 1 else array[..., None]
    array = array.transpose(*range(count)[::-1], count)
    return (array[:, :, None] if count == 2 else array), affine, fields, placed


def _check_kind(channels: int, kind: str, layers: bool, path: Path) -> None:
    if channels != 1 and not layers:
        raise SemganError(
            f"voxels of {channels} values where one is expected (colour, or several time points or layers)",
            remedy="export one grey-valued volume",
            path=path,
        )
    if "complex" in kind:
        raise SemganError("complex voxels are not supported", remedy="export plain numbers", path=path)


def write_itk(array: np.ndarray, like: Volume, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write an array (I, J, K), compressed, on the grid of `like`.

    Args:
        array: (I, J, K).
        like: the volume whose grid it has.
        path: `.nrrd` or `.mha`.
        metadata: further fields of the header.
    """
    image = SimpleITK.GetImageFromArray(array.transpose())
    affine = LPS_RAS @ like.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).reshape(-1).tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    for key, value in (metadata or {}).items():
        image.SetMetaData(key, value)
    try:
        with quiet_itk(), writable_by_itk(path) as name:
            SimpleITK.WriteImage(image, name, useCompression=True)
            del image  # as large as the label; the next one is too
            again = SimpleITK.ReadImage(name)  # a full disk makes ITK write half a file without saying so
        planes = SimpleITK.GetArrayViewFromImage(again)
        if any(not np.array_equal(a, b) for a, b in zip(planes, array.transpose(), strict=True)):
            raise RuntimeError("what was written differs")
    except RuntimeError as error:
        raise _as_os_error(error, path) from error


def affine_of(image: Any) -> np.ndarray:
    """(4, 4) voxel index to RAS mm of a SimpleITK image of 2 or 3 dimensions."""
    count = image.GetDimension()
    affine = np.eye(4)
    direction = np.asarray(image.GetDirection(), dtype=np.float64).reshape(count, count)
    affine[:count, :count] = direction * np.asarray(image.GetSpacing())
    affine[:count, 3] = image.GetOrigin()
    return LPS_RAS @ affine


def _small(array: np.ndarray) -> np.ndarray:
    """A copy that owns its memory, as int16 where that holds every value of the stored type, else as float32."""
    fits = array.dtype.kind in "iu" and np.can_cast(array.dtype, np.int16)
    return array.astype(np.int16 if fits else np.float32)


@contextmanager
def quiet_itk() -> Iterator[None]:
    """ITK and MetaIO report on stderr, past Python, what becomes an exception as well."""
    before = ProcessObject.GetGlobalWarningDisplay()
    ProcessObject.SetGlobalWarningDisplay(False)
    stderr = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        ProcessObject.SetGlobalWarningDisplay(before)


def _as_os_error(error: RuntimeError, path: Path) -> OSError:
    """SimpleITK does not tell why writing failed; trying it again in Python does."""
    try:
        size = path.stat().st_size if path.exists() else 0
        with open(path, "ab") as stream:
            stream.write(bytes(max(4096, size // 10)))
    except OSError as reason:
        return reason
    return OSError(str(error).strip().splitlines()[-1])
