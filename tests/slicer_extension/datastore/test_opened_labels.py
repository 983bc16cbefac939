"""Images of the server come with the label that they have, as a result that can be measured and corrected."""

from __future__ import annotations

import re

import numpy as np
import pytest
from SemGANLib.Scene import Geometry
from SemGANLib.Scene.Records import record_of
from SemGANLib.Scene.SegmentationImport import segment_ids
from SemGANLib.Server.Nrrd import Grid, decode, encode

from tests.slicer_extension.datastore.readers import FOUND, OUT, SAVED, draw, open_case, submit, their_label
from tests.slicer_extension.nodes import merged
from tests.slicer_extension.scan_files import phantom
from tests.slicer_extension.server_answers import segment


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".nii", ".mha"])
def test_a_label_lies_where_its_reader_has_drawn_it(reader, stored, suffix):
    data, array = their_label(suffix)
    stored.put("case", "final", data, FOUND, suffix)
    volume = open_case(reader)
    grid = phantom("LAS")
    place = Geometry.same_points(grid.affine, grid.array.shape[::-1], Geometry.ijk_to_ras(volume), (40, 28, 16))
    np.testing.assert_array_equal(place.reordered(merged(reader, volume)), array)
    node = volume.GetScene().GetNodeByID(reader.logic.outcome(volume).segmentation_id)
    assert segment_ids(node) == ("liver", "right kidney", "spleen")
    assert node.GetName() == f"case: final label, Dr. Ä, {SAVED}"
    assert {row.name for row in reader.logic.organ_volumes(volume)} == {"liver", "right kidney", "spleen"}
    assert reader.logic.edited(volume), "Dr. Ä had corrected the model"
    assert not any(message.level != "info" for message in reader.messages)


def test_the_final_label_goes_before_others(reader, stored):
    for tag, value in (("original", 1), ("final", 2), ("preliminary", 4)):
        stored.put("case", tag, their_label(value=value)[0], {"annotator": tag})
    volume = open_case(reader)
    node = volume.GetScene().GetNodeByID(reader.logic.outcome(volume).segmentation_id)
    assert node.GetName().startswith("case: final label, final")


def test_an_image_without_a_label_is_opened_alone(reader, stored):
    volume = open_case(reader)
    assert record_of(volume) is None and reader.logic.outcome(volume) is None


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"label_info": [{"name": "tumour", "idx": 9, "color": [1, 2, 3]}]}, "tumour"),
        ({"label_info": [{"name": "spleen", "idx": 9}]}, "spleen"),
        ({"label_info": [{"name": "", "idx": 9}, {"idx": "9"}, None, {"name": "x", "idx": 700}]}, "label 9"),
        ({"label_info": "nonsense"}, "label 9"),
        ({}, "label 9"),
    ],
)
def test_structures_of_the_readers_own_keep_name_and_voxels(reader, stored, told, name):
    data, array = their_label(value=9)
    stored.put("case", "final", data, told)
    volume = open_case(reader)
    assert (merged(reader, volume) == 9).sum() == (array == 9).sum()
    node = volume.GetScene().GetNodeByID(reader.logic.outcome(volume).segmentation_id)
    names = [node.GetSegmentation().GetSegment(one).GetName() for one in segment_ids(node)]
    assert name in names and len(set(names)) == len(names)


def test_a_models_label_comes_with_what_the_model_said(reader, stored):
    """As MONAI Label keeps what its inference tells."""
    told = {
        "label_names": {"liver": 1, "right kidney": 2, "cyst": 4},
        "label_colors": {"cyst": [9, 8, 7]},
        "mode": "preview",
        "domain": OUT,
        "model": {"name": "semgan_abdomen", "version": "1.2", "sha256": "ab"},
        "findings": [{"code": "cut_by_edge", "level": "warning", "labels": [1], "text": "The liver is cut."}],
    }
    stored.put("case", "original", their_label()[0], {"model": "semgan_preview", "params": told})
    volume = open_case(reader)
    outcome = reader.logic.outcome(volume)
    assert outcome.result.model.version == "1.2" and outcome.result.findings[0].text == "The liver is cut."
    assert [(label.id, label.name) for label in outcome.result.labels][-1] == (4, "cyst")
    assert outcome.result.labels[-1].colour == (9, 8, 7) and "unlike" in outcome.warning
    assert not reader.logic.edited(volume)
    submit(reader, volume)
    assert len(reader.asked) == 1 and "learnt from" in reader.asked[0]
    newest = stored.versions_of["case", "final"][-1]
    assert newest.params["edited"] is False and newest.params["model"] == "semgan_abdomen"


@pytest.mark.parametrize(
    "told", ["x", {"label_names": 3, "domain": "x", "findings": [{}]}, {"label_names": {"a": "b"}}]
)
def test_what_a_server_tells_in_another_form_is_left_out(reader, stored, told):
    stored.put("case", "original", their_label()[0], {"model": 5, "params": told})
    volume = open_case(reader)
    assert (merged(reader, volume) > 0).any() and reader.logic.outcome(volume).result.findings == ()


@pytest.mark.parametrize("kind", ["damaged", "elsewhere", "deep numbers"])
def test_a_label_that_cannot_be_shown_leaves_the_image(reader, stored, kind):
    grid = phantom("LAS")
    moved = grid.affine + 0.0
    moved[0, 3] += 5
    files = {
        "damaged": b"nothing",
        "elsewhere": encode(Grid(segment(grid.array), moved)),
        "deep numbers": encode(Grid(segment(grid.array).astype(np.int16) * 200, grid.affine)),
    }
    stored.put("case", "final", files[kind])
    volume = open_case(reader)
    assert volume.GetName() == "case" and reader.logic.outcome(volume) is None
    assert reader.messages[-1].level == "warning" and "without its label" in reader.messages[-1].text


def test_a_label_of_the_server_can_be_corrected_and_submitted_again(reader, stored):
    stored.put("case", "final", their_label()[0], FOUND)
    volume = open_case(reader)
    draw(reader, volume)
    submit(reader, volume)
    assert not reader.asked, "it is this label that was corrected"
    newest = stored.versions_of["case", "final"][-1]
    assert newest.params["annotator"] == "Dr. B" and newest.params["edited"] is True
    assert newest.params["model"] == "semgan_abdomen"
    assert (decode(newest.data).array == 4).sum() == 3 * 6 * 7


def test_a_label_that_a_reader_had_edited_stays_edited(reader, stored):
    stored.put("case", "preliminary", their_label()[0], FOUND)
    volume = open_case(reader)
    submit(reader, volume)
    assert stored.versions_of["case", "final"][-1].params["edited"] is True


def test_names_of_results_tell_model_and_time(reader, stored):
    volume = open_case(reader)
    reader.preview(volume)
    node = volume.GetScene().GetNodeByID(reader.logic.outcome(volume).segmentation_id)
    assert re.fullmatch(r"case: preview, semgan_abdomen 1\.2, \d\d:\d\d", node.GetName())
