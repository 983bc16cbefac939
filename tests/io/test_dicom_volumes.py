"""Of a study's series the one that is a volume is read; of a series' volumes the one that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import generate_uid

from monai_semgan.errors import SemganError
from monai_semgan.io.dicom.dicom_folder import read_folder
from monai_semgan.io.reading import read_volume
from tests.dicom_phantoms import datasets, enhanced_volumes, save, several_volumes, write_series

SHAPE = (4, 3, 5)
AFFINE = np.array([[-2.0, 0, 0, 30], [0, -2.5, 0, 40], [0, 0, 3, -50], [0, 0, 0, 1]])


def values(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1500, shape).astype(np.float32)


def tagged(
    names: tuple[str, ...], *told: tuple[Any, ...], **tags: Any
) -> tuple[list[Dataset], dict[tuple[Any, ...], np.ndarray]]:
    arrays = {value: values(seed) for seed, value in enumerate(told)}
    tags = {"SeriesNumber": 7, "SeriesInstanceUID": "1.2.7", **tags}
    return several_volumes(arrays, AFFINE, names, **tags), arrays


def siemens(stack: list[Dataset]) -> list[Dataset]:
    """b-values in Siemens' private element only."""
    for dataset in stack:
        block = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
        block.add_new(0x0C, "IS", str(dataset.pop("DiffusionBValue").value).split(".")[0])
    return stack


SERIES: dict[str, tuple[Callable[[], tuple[list[Dataset], Any]], list[str]]] = {
    "echoes": (lambda: tagged(("EchoNumbers", "EchoTime"), (1, "2.3"), (2, "4.6")), ["echo=1", "echo=2"]),
    "ten echoes": (
        lambda: tagged(("EchoNumbers",), *((n,) for n in range(1, 11))),
        [f"echo={n}" for n in range(1, 11)],
    ),
    "echo times": (lambda: tagged(("EchoTime",), ("2.3",), ("10.6",)), ["te=2.3", "te=10.6"]),
    "b-values": (lambda: tagged(("DiffusionBValue",), (0.0,), (50.0,), (800.0,)), ["b=0", "b=50", "b=800"]),
    "phases": (lambda: tagged(("TemporalPositionIdentifier",), (1,), (2,), (3,)), ["phase=1", "phase=2", "phase=3"]),
    "acquisitions": (lambda: tagged(("AcquisitionNumber",), (1,), (2,)), ["acquisition=1", "acquisition=2"]),
    "Dixon": (
        lambda: tagged(("ImageType",), (("DERIVED", "PRIMARY", "WATER"),), (("DERIVED", "PRIMARY", "FAT"),)),
        ["type=WATER", "type=FAT"],
    ),
    "kernels": (lambda: tagged(("ConvolutionKernel",), ("B30f",), ("B70f",)), ["kernel=B30F", "kernel=B70F"]),
    "energies": (lambda: tagged(("KVP",), ("80",), ("140",)), ["kv=80", "kv=140"]),
    "heart": (lambda: tagged(("TriggerTime",), ("0",), ("250.5",)), ["heart=0", "heart=250.5"]),
    "echoes and b-values": (
        lambda: tagged(("EchoNumbers", "DiffusionBValue"), (1, 0.0), (1, 800.0), (2, 0.0), (2, 800.0)),
        ["echo=1/b=0", "echo=1/b=800", "echo=2/b=0", "echo=2/b=800"],
    ),
    "times": (lambda: tagged(("AcquisitionTime",), ("101010",), ("101110.5",)), ["time=1", "time=2"]),
}


@pytest.mark.parametrize("kind", SERIES)
def test_each_volume_of_a_series_can_be_chosen_by_what_tells_it_apart(kind: str, tmp_path: Path) -> None:
    make, names = SERIES[kind]
    stack, arrays = make()
    path = write_series(tmp_path, stack)
    for name, array in zip(names, arrays.values(), strict=True):
        volume = read_volume(path, series=f"7/{name.lower()}")
        assert np.array_equal(volume.array, array) and np.allclose(volume.affine, AFFINE) and volume.notes == ()
        assert np.array_equal(read_volume(path, series=f"1.2.7/{name}").array, array)
    for wanted in (None, "7"):
        with pytest.raises(SemganError) as error:
            read_volume(path, series=wanted)
        assert "5 places hold more than one slice" in error.value.problem
        told = sorted(names, key=str) if kind == "Dixon" else names
        assert f"series 7 holds {', '.join(f'7/{name} (MR, 5 images)' for name in told)}" in error.value.problem
        assert error.value.remedy == f"choose one with --series, for example --series 7/{told[0]}"


def test_private_b_values_are_known(tmp_path: Path) -> None:
    stack, arrays = tagged(("DiffusionBValue",), (0.0,), (800.0,))
    path = write_series(tmp_path, siemens(stack))
    assert np.array_equal(read_volume(path, series="7/b=800").array, arrays[(800.0,)])


@pytest.mark.parametrize(
    ("group", "name", "part"),
    [
        ("MREchoSequence", "EffectiveEchoTime", "te"),
        ("MRDiffusionSequence", "DiffusionBValue", "b"),
        ("FrameContentSequence", "TemporalPositionIndex", "phase"),
    ],
)
def test_volumes_of_a_multi_frame_file_can_be_chosen(group: str, name: str, part: str, tmp_path: Path) -> None:
    arrays: dict[float, np.ndarray] = {1: values(0) // 2 * 2, 20: values(1) // 2 * 2}
    path = save(enhanced_volumes(arrays, AFFINE, group, name), tmp_path / "a.dcm")
    with pytest.raises(SemganError, match=f"series 4 holds 4/{part}=1 .MR, 5 images., 4/{part}=20 "):
        read_volume(path)
    for value, array in arrays.items():
        volume = read_volume(path, series=f"4/{part}={value}")
        assert np.array_equal(volume.array, array) and np.allclose(volume.affine, AFFINE)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(kind=st.sampled_from(sorted(SERIES)), data=st.data(), uids=st.sampled_from(["own", "same", "kept"]))
def test_volumes_are_told_apart_in_any_order_and_without_uids(
    kind: str, data: Any, uids: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    make, names = SERIES[kind]
    stack, arrays = make()
    for dataset in stack:
        if uids != "kept":
            dataset.SeriesInstanceUID, dataset.SOPInstanceUID = "1.2.3", "1.2.4"
        if uids == "own":
            dataset.SeriesInstanceUID, dataset.SOPInstanceUID = generate_uid(), generate_uid()
    folder = tmp_path_factory.mktemp("s")
    order = data.draw(st.permutations(range(len(stack))))
    write_series(folder, [stack[index] for index in order], shuffle=None)
    number = data.draw(st.integers(0, len(names) - 1))
    volume = read_volume(folder, series=f"7/{names[number]}")
    assert np.array_equal(volume.array, list(arrays.values())[number])


def test_phases_of_different_length_are_told_apart(tmp_path: Path) -> None:
    short = datasets(values(0)[..., 1:4], _from(1), "MR", (1.0, 0.0), AcquisitionNumber=1)
    path = write_series(tmp_path, short + datasets(values(1), AFFINE, "MR", (1.0, 0.0), AcquisitionNumber=2))
    assert np.array_equal(read_volume(path, series="4/acquisition=1").array, values(0)[..., 1:4])
    assert np.array_equal(read_volume(path, series="4/acquisition=2").array, values(1))


def _from(k: int) -> np.ndarray:
    affine = AFFINE.copy()
    affine[:3, 3] += k * affine[:3, 2]
    return affine


def test_a_time_that_changes_from_slice_to_slice_is_no_phase(tmp_path: Path) -> None:
    stack = []
    for seed in range(2):
        for k, dataset in enumerate(datasets(values(seed), AFFINE, "MR", (1.0, 0.0))):
            dataset.AcquisitionTime = f"10{seed}{k:03d}"
            stack.append(dataset)
    with pytest.raises(SemganError, match=r"5 places hold more than one slice, for example IM\d+ and IM\d+ .several"):
        read_volume(write_series(tmp_path, stack))


def planes() -> list[Dataset]:
    """A planning series: three slices each in axial, coronal and sagittal direction, not marked as such."""
    axial = np.diag([-2.0, -2, 20, 1])
    coronal = np.array([[-2.0, 0, 0, 0], [0, 0, 20, 0], [0, -2, 0, 0], [0, 0, 0, 1]])
    sagittal = np.array([[0, 0, 20.0, 0], [-2, 0, 0, 0], [0, -2, 0, 0], [0, 0, 0, 1]])
    return [
        dataset
        for seed, affine in enumerate((axial, coronal, sagittal))
        for dataset in datasets(values(seed, (4, 4, 3)), affine, "MR", (1.0, 0.0), SeriesNumber=1)
    ]


def test_stacks_of_several_directions_can_be_chosen(tmp_path: Path) -> None:
    path = write_series(tmp_path, planes())
    with pytest.raises(SemganError, match=r"3 different orientations: series 1 holds 1/plane=axial \(MR, 3 images\)"):
        read_volume(path)
    volume = read_volume(path, series="1/plane=coronal")
    assert volume.array.shape == (4, 4, 3) and abs(volume.affine[1, 2]) == 20


def study(folder: Path) -> Path:
    """Of MRI: T2 of five slices, larger DWI and dual echo, planning images, a report page, a series 10."""
    own = {"SeriesInstanceUID": "1.2.3", "SeriesNumber": 3}
    write_series(folder / "t2", datasets(values(0), AFFINE, "MR", (1.0, 0.0), **own))
    write_series(folder / "dwi", tagged(("DiffusionBValue",), (0.0,), (800.0,))[0])
    echoes = tagged(("EchoNumbers",), (1,), (2,), (3,), SeriesNumber=10, SeriesInstanceUID="1.2.10")[0]
    write_series(folder / "echo", echoes)
    for dataset in (scouts := planes()):
        dataset.SeriesInstanceUID = "1.2.1"
    write_series(folder / "scout", scouts)
    return folder


def test_the_next_series_that_is_a_volume_is_taken_and_the_list_is_told(tmp_path: Path) -> None:
    volume = read_volume(study(tmp_path))
    assert np.array_equal(volume.array, values(0)) and len(volume.notes) == 1
    note = volume.notes[0]
    assert note.startswith("Series 3 (MR, 5 images) is taken, the largest CT or MR that can be read; not 10 (MR, 15")
    assert "7/b=0 (MR, 5 images), 7/b=800 (MR, 5 images)" in note and "not 1 (MR, 9 images): the slices have 3 " in note
    assert note.endswith("--series chooses.")
    assert np.array_equal(read_volume(tmp_path, series="7/b=800").array, values(1))


def test_what_is_not_there_is_answered_with_what_is(tmp_path: Path) -> None:
    path = study(tmp_path)
    with pytest.raises(SemganError, match=r"no b=900 in series 7; it holds 7/b=0 \(MR, 5 images\), 7/b=800"):
        read_volume(path, series="7/b=900")
    with pytest.raises(SemganError, match="no echo=1 in series 3; it holds one volume, 3"):
        read_volume(path, series="3/echo=1")
    with pytest.raises(SemganError, match="there is no series 4/echo=1; there are"):
        read_volume(path, series="4/echo=1")
    assert np.array_equal(read_volume(path, series="03").array, values(0))


def test_series_of_one_size_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 101, 2):
        own = {"SeriesInstanceUID": f"1.2.{number}", "SeriesNumber": number}
        write_series(tmp_path / str(number), datasets(values(number), AFFINE, "MR", (1.0, 0.0), **own))
    assert [series.number for series in read_folder(tmp_path).series] == ["2", "9", "10", "101"]
    assert np.array_equal(read_volume(tmp_path).array, values(2))


def test_one_slice_does_not_stand_in_for_a_stack(tmp_path: Path) -> None:
    write_series(tmp_path / "dwi", tagged(("DiffusionBValue",), (0.0,), (800.0,))[0])
    write_series(tmp_path / "one", datasets(values(0)[..., :1], AFFINE, "MR", (1.0, 0.0), SeriesNumber=3))
    with pytest.raises(
        SemganError, match=r"none of 2 series .* 7 .MR, 10 images.: .* 3 .MR, 1 image.: there is only one"
    ):
        read_volume(tmp_path)


def test_a_series_that_lacks_slices_is_not_replaced_by_another(tmp_path: Path) -> None:
    large = datasets(values(1, (9, 9, 9)), AFFINE, "MR", (1.0, 0.0), SeriesNumber=8, SeriesInstanceUID="1.2.8")
    write_series(tmp_path / "large", large[:4] + large[5:])
    write_series(tmp_path / "small", datasets(values(0), AFFINE, "MR", (1.0, 0.0)))
    with pytest.raises(
        SemganError, match="slices are missing; copy .*; or choose another one with --series: there are 8"
    ):
        read_volume(tmp_path)
    assert np.array_equal(read_volume(tmp_path, series="4").array, values(0))


def test_a_damaged_file_of_a_series_that_is_not_wanted_is_a_note(tmp_path: Path) -> None:
    path = study(tmp_path)
    file = sorted((path / "dwi").iterdir())[3]
    file.write_bytes(file.read_bytes()[:-20])
    assert np.array_equal(read_volume(path, series="3").array, values(0))
    assert np.array_equal(read_volume(path).array, values(0))


def test_nothing_of_the_patient_is_told(tmp_path: Path) -> None:
    with pytest.raises(SemganError) as error:
        read_volume(write_series(tmp_path, tagged(("EchoNumbers",), (1,), (2,))[0]))
    assert "ecret" not in str(error.value) and "2020" not in str(error.value)


def test_the_phantom_is_what_it_says(tmp_path: Path) -> None:
    path = save(
        enhanced_volumes({1: values(0), 2: values(1)}, AFFINE, "MREchoSequence", "EffectiveEchoTime"), tmp_path / "a"
    )
    assert pydicom.dcmread(path).NumberOfFrames == 10
