"""NRRD and MetaImage volumes lie where they should; broken ones are explained."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monai_semgan.io.itk import write_itk
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import write_label, write_map, write_volume
from monai_semgan.organs import Segments
from tests.phantoms import grid, patient

FORMATS = (".nii.gz", ".nrrd", ".mha")
SHAPE = (4, 5, 6)

TEXT_NRRD = """NRRD0004
type: {type}
dimension: {dimension}
space: {space}
sizes: {sizes}
{spacing}
encoding: raw
endian: little
{more}
"""


def small(path: Path, seed: int = 0) -> Path:
    array = np.random.default_rng(seed).integers(-1000, 1000, SHAPE).astype(np.int16)
    return write_volume(array, Volume(array, grid()[0]), path)


def nrrd(path: Path, data: bytes | None = None, **fields: str) -> Path:
    """An NRRD file whose header is written word by word."""
    header = {
        "type": "short",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "4 5 6",
        "spacing": "space directions: (2,0,0) (0,2,0) (0,0,3)\nspace origin: (0,0,0)",
        "more": "",
    } | fields
    content = np.arange(120, dtype=np.int16).tobytes() if data is None else data
    path.write_bytes(TEXT_NRRD.format(**header).encode().replace(b"\n\n", b"\n") + b"\n" + content)
    return path


def mha(path: Path, drop: str = "", name: str = "LOCAL", data: bytes | None = None, **fields: str) -> Path:
    """A MetaImage whose header is written word by word."""
    header = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "0 0 0",
        "ElementSpacing": "2 2 3",
        "DimSize": "4 5 6",
        "ElementType": "MET_SHORT",
    } | fields
    lines = [f"{key} = {value}" for key, value in header.items() if key != drop] + [f"ElementDataFile = {name}"]
    content = np.arange(120, dtype=np.int16).tobytes() if data is None else data
    path.write_bytes(("\n".join(lines) + "\n").encode() + content)
    return path


def text(path: Path) -> Path:
    path.write_bytes(b"hello, this is no image\n" * 100)
    return path


def linked(folder: Path) -> Path:
    outside = folder.parent / f"{folder.name}_outside.raw"
    outside.write_bytes(bytes(240))
    (folder / "a.raw").symlink_to(outside)
    return mha(folder / "a.mhd", name="a.raw", data=b"")


# what each makes is given to the command line in tests/test_bad_input.py, which expects the message
BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "text as nrrd": (lambda d: text(d / "a.nrrd"), "not a readable image"),
    "text as mha": (lambda d: text(d / "a.mha"), "not a readable image"),
    "nrrd cut off": (lambda d: nrrd(d / "a.nrrd", bytes(100)), "cut off"),
    "mha cut off": (lambda d: mha(d / "a.mha", data=bytes(10)), "cut off"),
    "nrrd gigantic": (lambda d: nrrd(d / "a.nrrd", sizes="99999 99999 99999"), "voxels, too many"),
    "mha gigantic": (lambda d: mha(d / "a.mha", DimSize="99999 99999 99999"), "voxels, too many"),
    "nrrd large": (lambda d: nrrd(d / "a.nrrd", sizes="999 999 999"), "cut off"),
    "mha large": (lambda d: mha(d / "a.mha", DimSize="999 999 999", CompressedData="True"), "cut off"),
    "nrrd without spacing": (lambda d: nrrd(d / "a.nrrd", spacing="thicknesses: 1 1 1"), "spacing"),
    "nrrd with spacing NaN": (lambda d: nrrd(d / "a.nrrd", space="", spacing="spacings: nan nan nan"), "spacing|read"),
    "mha without spacing": (lambda d: mha(d / "a.mha", drop="ElementSpacing"), "spacing"),
    "mha with spacing 0": (lambda d: mha(d / "a.mha", ElementSpacing="0 0 0"), "spacing"),
    "mha with one spacing 0": (lambda d: mha(d / "a.mha", ElementSpacing="1 0 1"), "spacing|not a readable"),
    "nrrd of colours": (
        lambda d: nrrd(
            d / "a.nrrd",
            bytes(360),
            type="uchar",
            dimension="4",
            sizes="3 4 5 6",
            spacing="space directions: none (2,0,0) (0,2,0) (0,0,3)\nkinds: RGB-color domain domain domain",
        ),
        "3 values.*colour",
    ),
    "mha of colours": (lambda d: mha(d / "a.mha", data=bytes(720), ElementNumberOfChannels="3"), "3 values.*colour"),
    "mhd of another folder": (lambda d: mha(d / "a.mhd", name="../x.raw"), "outside its folder"),
    "mhd of an absolute path": (lambda d: mha(d / "a.mhd", name="/etc/hostname"), "outside its folder"),
    "mhd through a link": (linked, "link that leaves"),
    "mhd without data": (lambda d: mha(d / "a.mhd", name="x.raw"), "x.raw is missing"),
    "mhd of many files": (lambda d: mha(d / "a.mhd", name="s%03d.raw 1 6 1"), "several files"),
    "nhdr of another folder": (lambda d: nrrd(d / "a.nhdr", more="data file: ../x.raw"), "outside its folder"),
    "constant": (lambda d: nrrd(d / "a.nrrd", bytes(240)), "all voxels have the same value 0"),
    "singular": (lambda d: mha(d / "a.mha", TransformMatrix="1 0 0 1 0 0 0 0 1"), "do not span|not a readable"),
}


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    codes=st.permutations([("L", "R"), ("A", "P"), ("I", "S")]).flatmap(
        lambda pairs: st.tuples(*(st.sampled_from(pair) for pair in pairs))
    ),
    degrees=st.tuples(*[st.floats(-40, 40)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 9)] * 3),
)
def test_geometry_survives_every_chain_of_formats(
    tmp_path: Path, codes: tuple[str, ...], degrees: tuple[float, ...], spacing: tuple[float, ...]
) -> None:
    field = tuple(s * n for s, n in zip(spacing, SHAPE, strict=True))
    affine, shape = grid(spacing, codes="".join(codes), degrees=degrees, field=field)  # type: ignore[arg-type]
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    volume = Volume(array, affine)
    for suffix in (*FORMATS, *FORMATS[::-1]):
        volume = read_volume(write_map(volume.array, volume, tmp_path / f"a{suffix}"))
        assert np.array_equal(volume.array, array)
        assert np.allclose(volume.affine, affine, atol=1e-3, rtol=1e-5)
        assert not volume.notes
    label = np.random.default_rng(1).integers(0, 3, shape).astype(np.uint8)
    label.flat[:2] = [1, 2]
    for suffix in (".nii", *FORMATS, ".seg.nrrd"):
        path = write_label(label, volume, tmp_path / f"l{suffix}", Segments({1: "liver", 2: "spleen"}))
        assert np.array_equal(read_label(path, volume).array, label), suffix
    turned = read_label(path, volume, names={1: "spleen", 2: "liver"})
    assert np.array_equal(turned.array, np.array([0, 2, 1])[label]) and np.allclose(turned.affine, affine, atol=1e-3)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_label_lies_on_the_grid_of_its_scan(suffix: str, tmp_path: Path) -> None:
    affine, shape = grid((8.0, 9.0, 12.0), codes="PIR", degrees=(5.0, 10.0, 20.0))
    scan = read_volume(write_map(patient(affine, shape).array, Volume(np.zeros(shape), affine), tmp_path / "s.nrrd"))
    ids = np.random.default_rng(0).integers(0, 5, shape)
    label = read_label(write_label(ids, scan, tmp_path / f"label{suffix}"), scan)
    assert label.array.dtype == np.uint8 and np.array_equal(label.array, ids)


def test_a_corner_of_an_nrrd_is_at_its_place_in_the_patient(tmp_path: Path) -> None:
    path = nrrd(tmp_path / "a.nrrd", spacing="space directions: (0,2,0) (3,0,0) (0,0,-4)\nspace origin: (10,20,30)")
    volume = read_volume(path)
    assert np.allclose(volume.affine @ [1, 2, 3, 1], [-16, -22, 18, 1])
    assert volume.array[1, 2, 3] == 1 + 2 * 4 + 3 * 20


def test_an_nrrd_in_ras_is_turned(tmp_path: Path) -> None:
    path = nrrd(tmp_path / "a.nrrd", space="right-anterior-superior")
    assert np.allclose(read_volume(path).affine, np.diag([2, 2, 3, 1]))


def test_a_patient_of_unknown_orientation_is_told(tmp_path: Path) -> None:
    assert "does not say how the patient lies" in read_volume(mha(tmp_path / "a.mha", drop="TransformMatrix")).notes[0]
    path = nrrd(tmp_path / "a.nrrd", space="", spacing="spacings: 2 2 3")
    path.write_bytes(path.read_bytes().replace(b"space: \n", b""))
    assert "does not say how the patient lies" in read_volume(path).notes[0]


def test_a_header_with_data_beside_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(np.arange(120, dtype=np.int16).tobytes())
    assert read_volume(mha(tmp_path / "a.mhd", name="a.raw", data=b"")).array[1, 0, 0] == 1
    assert read_volume(nrrd(tmp_path / "a.nhdr", data=b"", more="data file: a.raw")).array[0, 1, 0] == 4


def test_importing_the_package_does_not_import_the_libraries() -> None:
    code = (
        "import sys, monai_semgan.io.reading, monai_semgan.io.formats;"
        "sys.exit(any(name in sys.modules for name in ('SimpleITK', 'pydicom', 'highdicom', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("told", "modality"), [("CT", "CT"), (" mri ", "MR"), ("ct scan", None), ("", None), (None, None)]
)
def test_a_header_that_names_the_modality_is_believed(told: str | None, modality: str | None, tmp_path: Path) -> None:
    volume = Volume(np.arange(60, dtype=np.float32).reshape(3, 4, 5), np.diag([-2.0, -2.0, 3.0, 1.0]))
    write_itk(volume.array, volume, tmp_path / "x.nrrd", None if told is None else {"Modality": told})
    assert read_volume(tmp_path / "x.nrrd").modality == modality
