"""Ids of labels go by the names that clients tell: the second organ is not taken for the first one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_semgan.errors import SemganError
from monai_semgan.io.itk import write_itk
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import write_label
from monai_semgan.label_app.grids import lay_onto, read_grid
from monai_semgan.label_app.label_numbers import model_ids, naming_all, numbered, renumbered, told_names, with_ids
from monai_semgan.organs import Segments
from tests.label_app.test_label_grids import scan

ORGANS = {"liver": 1, "right kidney": 2, "left kidney": 3, "spleen": 4}
MODELS = model_ids(SimpleNamespace(_infers={"a": SimpleNamespace(labels=ORGANS), "b": SimpleNamespace(labels=["x"])}))


def listed(*names: str) -> list[dict[str, Any]]:
    """What 3D Slicer's MONAI Label module sends."""
    return [{"name": name, "idx": number} for number, name in enumerate(names, 1)]


@pytest.mark.parametrize(
    ("label_info", "expected"),
    [
        (listed("liver", "right kidney", "left kidney", "spleen"), {}),
        (listed("liver", "right kidney"), {}),
        (listed("right kidney", "left kidney", "spleen"), {1: 2, 2: 3, 3: 4}),
        (listed("Kidney_Right", "Liver"), {1: 2, 2: 1}),
        (listed("spleen", "cyst"), {1: 4, 2: 5}),
        (listed("liver", "right kidney", "left kidney", "spleen", "cyst"), {}),
        (listed("a", "b"), {}),
        (listed("liver", "liver"), {}),
        ([{"name": "spleen", "idx": 2}], {}),
        ([{"name": "liver", "idx": 2}, {"name": "spleen", "idx": 3}], {}),
        ([], {}), (None, {}), ("liver", {}), ([1, None, {}], {}),
    ],
)  # fmt: skip
def test_a_list_of_names_says_which_organ_an_id_is(label_info: Any, expected: dict[int, int]) -> None:
    assert renumbered(label_info, MODELS) == expected


@given(st.lists(st.tuples(st.sampled_from([*ORGANS, "cyst", "stent", "tumour"]), st.integers(1, 200)), max_size=7))
def test_no_two_structures_share_an_id_that_they_did_not_share_before(told: list[tuple[str, int]]) -> None:
    found = numbered(dict(enumerate(told)), MODELS)
    for one, (name, value) in enumerate(told):
        if name in ORGANS:
            assert found[one] == ORGANS[name]
        elif any(other in ORGANS for other, _ in told):
            assert found[one] not in ORGANS.values()
        else:
            assert found[one] == value


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_a_label_without_the_first_organ_gets_the_ids_of_the_model(ending: str, tmp_path: Path) -> None:
    image = scan(tmp_path / "scan.nii.gz", "LAS")
    volume = read_volume(image)
    ids = (volume.array % 3).astype(np.uint8)
    label = write_label(ids, volume, tmp_path / f"label{ending}")
    told = listed("right kidney", "spleen")
    laid = lay_onto(label, read_grid(image), MODELS, told)
    expected = np.array([0, 2, 4], np.uint8)[ids]
    assert np.array_equal(laid.array, expected)
    assert np.array_equal(read_label(label, volume).array, expected)
    assert with_ids(told, laid.names) == [{"name": "right kidney", "idx": 2}, {"name": "spleen", "idx": 4}]


def test_a_list_that_does_not_tell_of_every_id_changes_nothing(tmp_path: Path) -> None:
    image = scan(tmp_path / "scan.nii.gz", "LAS")
    volume = read_volume(image)
    ids = (volume.array % 4).astype(np.uint8)
    label = write_label(ids, volume, tmp_path / "label.nii.gz")
    before = label.read_bytes()
    laid = lay_onto(label, read_grid(image), MODELS, listed("right kidney", "spleen"))
    assert label.read_bytes() == before and not laid.names


def test_segments_get_the_ids_of_the_model_by_the_names_in_their_file(tmp_path: Path) -> None:
    image = scan(tmp_path / "scan.nii.gz", "LAS")
    volume = read_volume(image)
    ids = (volume.array % 4).astype(np.uint8)
    label = write_label(ids, volume, tmp_path / "label.seg.nrrd", Segments({1: "spleen", 2: "cyst", 3: "liver"}))
    laid = lay_onto(label, read_grid(image), MODELS, listed("liver", "spleen", "cyst"))
    assert laid.names == {4: "spleen", 5: "cyst", 1: "liver"}
    assert np.array_equal(laid.array, np.array([0, 4, 5, 1], np.uint8)[ids])
    again = lay_onto(label, read_grid(image), MODELS)
    assert np.array_equal(again.array, laid.array) and again.names == laid.names


@pytest.mark.parametrize("shared", [0, 3])
def test_segments_in_layers_become_one_label_unless_they_share_voxels(shared: int, tmp_path: Path) -> None:
    image = scan(tmp_path / "scan.nii.gz", "LAS")
    volume = read_volume(image)
    layers = np.zeros((*volume.array.shape, 2), np.uint8)
    layers[:2, ..., 0] = 1
    layers[2:, ..., 1] = 1
    layers[0, 0, :shared, 1] = 1
    label = _write_layers(tmp_path / "label.seg.nrrd", layers, volume, ["spleen", "liver"])
    if shared:
        with pytest.raises(SemganError, match="share 3 voxels"):
            lay_onto(label, read_grid(image), MODELS)
        return
    expected = np.full(volume.array.shape, 1, np.uint8)
    expected[:2] = 4
    assert np.array_equal(lay_onto(label, read_grid(image), MODELS).array, expected)
    assert np.array_equal(read_label(label, volume, names={40: "spleen", 10: "liver"}).array == 40, expected == 4)


def test_names_that_nobody_can_read_are_left_out() -> None:
    odd = [
        {"name": 7, "idx": 1},
        {"name": "a", "idx": "2"},
        {"name": "b", "idx": -3},
        {"name": "c", "idx": "９"},
        [],
        5,
    ]
    assert told_names(odd) == {1: "", 2: "a"}


def _write_layers(path: Path, layers: np.ndarray, like: Volume, names: list[str]) -> Path:
    """3D Slicer's file of segments that may overlap: the layers are the first axis."""
    fields = {}
    for number, name in enumerate(names):
        keys = {"ID": name, "Name": name, "LabelValue": "1", "Layer": str(number)}
        fields |= {f"Segment{number}_{key}": value for key, value in keys.items()}
    import SimpleITK

    write_itk(layers[..., 0], like, path.with_name("plain.nrrd"))
    plain = SimpleITK.ReadImage(str(path.with_name("plain.nrrd")))
    image = SimpleITK.GetImageFromArray(layers.transpose(2, 1, 0, 3), isVector=True)
    image.CopyInformation(plain)
    for key, value in fields.items():
        image.SetMetaData(key, value)
    SimpleITK.WriteImage(image, str(path))
    return path


def test_ids_that_a_client_leaves_open_are_noted_as_the_model_means_them_now() -> None:
    model = {1: "liver", 7: "aorta"}
    assert naming_all(None, {7, 1}, model) == [{"name": "liver", "idx": 1}, {"name": "aorta", "idx": 7}]
    cyst = {"name": "cyst", "idx": 9, "color": [1, 2, 3]}
    assert naming_all([cyst], {1, 9}, model) == [{"name": "liver", "idx": 1}, cyst]
    assert naming_all(listed("spleen"), {1, 7}, model) == naming_all(None, {1, 7}, model)


def test_a_list_that_names_all_ids_of_a_label_stays_as_it_is() -> None:
    told = [{"name": "tumour", "idx": 1}, {"name": "stent", "idx": 9}]
    assert naming_all(told, {1}, {1: "liver"}) == told
