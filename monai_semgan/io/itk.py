"""Reads and writes NRRD and MetaImage (MHA, MHD) with SimpleITK, whose world is LPS, not RAS."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from SimpleITK import ProcessObject

from monai_semgan.errors import SemganError
from monai_semgan.io.itk_header import HeaderFacts, check_header
from monai_semgan.io.itk_names import readable_by_itk, writable_by_itk
from monai_semgan.io.limits import check_voxels
from monai_semgan.io.volume import Place, Volume
from monai_semgan.modalities import SPELLINGS

LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Turns LPS mm into RAS mm, and back."""

MODALITY = "Modality"
"""Field of a header of NRRD that tells what the image is, such as `CT`; files made from DICOM have it."""


GUESSED = (
    "The file does not say how the patient lies: coordinates that run right to left, front to back, feet to head are "
    "assumed."
)

REASONS = {
    "doesn't match dimension of space": ("not every axis of the image has a direction in space", "save it as a volume"),
    "determinant": ("the axes in the header do not span a volume", "correct the header"),
    "ScalarWithSpace": ("the header gives spacings where its space asks for directions", "export it again"),
    "nrrdTypeBlock": ("voxels of type block are not supported", "export plain numbers"),
    "Parse": ("the header cannot be understood", "export it again"),
}
"""Problem and remedy by what stands in the messages of ITK."""


@dataclass(frozen=True)
class _Layers:
    """Voxels of one or several values (I, J, K, values), where they lie, and the fields of the header."""

    array: np.ndarray
    place: Place
    fields: dict[str, str]


def read_itk(path: Path) -> Volume:
    """Read NRRD or MetaImage: float32, or int16 where the file holds 8- or 16-bit numbers that fit.

    Lengths are converted to mm, and values by MetaImage's intensity function; ITK itself does neither.

    Raises:
        SemganError: the file is broken, does not tell its voxel spacing, or does not hold plain numbers.
    """
    found = _read(path, layers=False)
    place = found.place
    modality = SPELLINGS.get(found.fields.get(MODALITY, "").strip().upper())
    return Volume(found.array[..., 0], place.affine, path, None, place.notes, modality, other_affines=place.others)


def read_layers(path: Path) -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
    """Voxels of one or several values (I, J, K, values), their (4, 4) affine to RAS mm, and the header's fields.

    Raises:
        SemganError: as `read_itk`.
    """
    found = _read(path, layers=True)
    return found.array, found.place.affine, found.fields


def read_itk_place(path: Path) -> tuple[tuple[int, ...], Place]:
    """Read size and place of an image from its header alone.

    Raises:
        SemganError: as `read_itk`.
        RuntimeError: what ITK makes of a damaged file.
    """
    facts, reader = check_header(path), _reader(path)
    with quiet_itk(), readable_by_itk(path) as name:
        reader.SetFileName(name)
        reader.ReadImageInformation()
        return tuple(reader.GetSize()), _place(affine_of(reader), facts)


def read_itk_fields(path: Path) -> tuple[int, dict[str, str]]:
    """Read the number of values of a voxel, and the fields of the header, from the header alone.

    Raises:
        SemganError: as `read_itk`.
    """
    check_header(path)
    reader = _reader(path)
    try:
        with quiet_itk(), readable_by_itk(path) as name:
            reader.SetFileName(name)
            reader.ReadImageInformation()
            fields = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}
            return reader.GetNumberOfComponents(), fields
    except RuntimeError as error:
        raise _explained(error, path) from error


def _reader(path: Path) -> Any:
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if path.suffix.lower() in (".nrrd", ".nhdr") else "MetaImageIO")
    return reader


def _read(path: Path, layers: bool) -> _Layers:
    facts, reader = check_header(path), _reader(path)
    try:
        with quiet_itk(), readable_by_itk(path) as name:
            reader.SetFileName(name)
            reader.ReadImageInformation()
            channels, kind = reader.GetNumberOfComponents(), SimpleITK.GetPixelIDValueAsString(reader.GetPixelID())
            check_voxels((*reader.GetSize(), channels), path)  # as ITK has understood the header
            _check_kind(reader.GetSize(), channels, kind, layers, path)
            image = reader.Execute()
            array = _small(SimpleITK.GetArrayViewFromImage(image))
            keys = (key for key in image.GetMetaDataKeys() if layers or key == MODALITY)
            fields = {key: image.GetMetaData(key) for key in keys}
            affine, count = affine_of(image), image.GetDimension()
    except SemganError:
        raise
    except Exception as error:  # SimpleITK raises RuntimeError for all that can be wrong, MemoryError not always
        raise _explained(error, path) from error
    array = array if channels > 1 else array[..., None]
    array = array.transpose(*range(count)[::-1], count)
    array = array[:, :, None] if count == 2 else array.reshape(*array.shape[:3], -1, order="F")
    if (facts.slope, facts.offset) != (1.0, 0.0):
        array = array.astype(np.float32) * np.float32(facts.slope) + np.float32(facts.offset)
    return _Layers(array, _place(affine, facts), fields)


def _place(affine: np.ndarray, facts: HeaderFacts) -> Place:
    """Where the voxels lie by a header of which ITK, which takes all lengths for mm, has made an affine."""
    notes = [] if facts.placed else [GUESSED]
    if (facts.slope, facts.offset) != (1.0, 0.0):
        notes.append(
            f"The header's intensity function is applied: values times {facts.slope:g} plus {facts.offset:g}; "
            "3D Slicer shows them without."
        )
    if not facts.units:
        return Place(affine, (), tuple(notes))
    notes.append(
        f"The header gives lengths in {', '.join(facts.units)}: they are converted to mm. 3D Slicer takes them for mm, "
        "and results other than NIfTI lie as it shows the scan."
    )
    return Place(np.diag([*facts.mm, 1.0]) @ affine, (affine,), tuple(notes))


def _explained(error: Exception, path: Path) -> SemganError:
    known = next((told for words, told in REASONS.items() if words in str(error)), None)
    problem, remedy = known or ("not a readable image, or it is cut off", "copy or export it again")
    return SemganError(problem, remedy=remedy, path=path)


def _check_kind(size: Sequence[int], channels: int, kind: str, layers: bool, path: Path) -> None:
    if any(n > 1 for n in size[3:]):
        found = f"{len(size)}-dimensional image of shape {'x'.join(map(str, size))}"
        raise SemganError(f"{found}, but a volume has 3 dimensions", remedy="give one 3D volume", path=path)
    if channels != 1 and not layers:
        raise SemganError(
            f"voxels of {channels} values where one is expected (colour, or several time points or layers)",
            remedy="export one grey-valued volume",
            path=path,
        )
    if "complex" in kind:
        raise SemganError("complex voxels are not supported", remedy="export plain numbers", path=path)


def write_itk(array: np.ndarray, like: Volume, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write an array (I, J, K), compressed, on the grid of `like`, where ITK, and so 3D Slicer, sees it.

    Args:
        array: (I, J, K).
        like: the volume whose grid it has.
        path: `.nrrd` or `.mha`.
        metadata: further fields of the header.
    """
    image = SimpleITK.GetImageFromArray(array.transpose())
    affine = LPS_RAS @ like.itk_affine
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
    """(4, 4) voxel index to RAS mm of a SimpleITK image of 2 or more dimensions, by the first three."""
    count = image.GetDimension()
    affine, used = np.eye(4), min(count, 3)
    direction = np.asarray(image.GetDirection(), dtype=np.float64).reshape(count, count)
    affine[:used, :used] = (direction * np.asarray(image.GetSpacing()))[:used, :used]
    affine[:used, 3] = image.GetOrigin()[:used]
    return LPS_RAS @ affine


def affine_of_nifti(block: bytes) -> tuple[tuple[float, ...], ...] | None:
    """Where ITK puts the voxels of a NIfTI header.

    Args:
        block: a header of NIfTI-1 for 2 x 2 x 2 voxels of 8 bits.

    Returns:
        (4, 4) voxel index to RAS mm; None if ITK refuses the header.
    """
    with tempfile.TemporaryDirectory() as folder, quiet_itk():
        path = Path(folder) / "header.nii"
        path.write_bytes(block + bytes(4 + 8))
        try:
            affine = affine_of(SimpleITK.ReadImage(str(path)))
        except RuntimeError:
            return None
    return tuple(map(tuple, affine.tolist())) if np.isfinite(affine).all() else None


def read_pixels(path: Path, kind: str) -> np.ndarray:
    """Read a picture (rows, columns) or (rows, columns, values) in the type in which it is stored.

    Args:
        path: the picture.
        kind: name of ITK's reader of its format.

    Raises:
        SemganError: it is damaged.
    """
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO(kind)
    try:
        with quiet_itk(), readable_by_itk(path) as name:
            reader.SetFileName(name)
            image = reader.Execute()
            array = SimpleITK.GetArrayFromImage(image)
    except RuntimeError as error:
        raise _explained(error, path) from error
    return array[0] if image.GetDimension() == 3 else array


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
