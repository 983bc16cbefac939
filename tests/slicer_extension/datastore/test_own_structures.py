"""Structures that readers add, rename or remove, and scans that they crop: none is taken for another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from SemGANLib.Datastore import StoredImages
from SemGANLib.Scene import Geometry, VolumeExport
from SemGANLib.Server.Nrrd import decode

from tests.slicer_extension.datastore.readers import open_case, submit, their_label
from tests.slicer_extension.nodes import ORGANS, merged, paint
from tests.slicer_extension.scans import add_scan

MODEL = {label.name: label.id for label in ORGANS}
PIECE = np.zeros((16, 28, 40), bool)
PIECE[2:6, 3:9, 5:20] = True


def segmentation(session: Any, volume: Any) -> Any:
    """The node of the newest result."""
    return volume.GetScene().GetNodeByID(session.logic.outcome(volume).segmentation_id)


def add_structure(session: Any, volume: Any, name: str) -> None:
    """Draw a structure of the reader's own, as the Segment Editor does."""
    import slicer

    node, segment = segmentation(session, volume), slicer.vtkSegment()
    segment.SetName(name)
    node.GetSegmentation().AddSegment(segment, "own")
    paint(node, volume, "own", PIECE)


def remove(session: Any, volume: Any, *names: str) -> None:
    """Delete structures."""
    for name in names:
        segmentation(session, volume).GetSegmentation().RemoveSegment(name)


def stored_numbers(server: Any) -> tuple[dict[str, int], np.ndarray]:
    """Numbers by name that the one label of the server was sent with, and its voxels."""
    ((params, data),) = server.labels.values()
    return {entry["name"]: entry["idx"] for entry in params["label_info"]}, decode(data).array


@pytest.mark.parametrize("gone", [(), ("liver",), ("right kidney",), ("liver", "spleen"), ("spleen",)])
def test_a_structure_of_ones_own_never_gets_the_number_of_one_that_the_model_knows(session, scene, server, gone):
    volume = add_scan(scene)
    session.preview(volume)
    remove(session, volume, *gone)
    add_structure(session, volume, "tumour")
    session.logic.submit(volume, "me")
    session.settle()
    numbers, array = stored_numbers(server)
    assert numbers["tumour"] not in MODEL.values()
    assert (array == numbers["tumour"]).sum() == PIECE.sum()
    assert numbers == {**{name: MODEL[name] for name in MODEL if name not in gone}, "tumour": numbers["tumour"]}


def test_also_where_it_was_not_asked_for(session, scene, server):
    session.logic.choices.labels = ("spleen", "right kidney")
    volume = add_scan(scene)
    session.preview(volume)
    add_structure(session, volume, "tumour")
    session.logic.submit(volume, "me")
    session.settle()
    assert stored_numbers(server)[0]["tumour"] not in MODEL.values()


def test_an_organ_that_was_drawn_anew_has_its_number_again(session, scene, server):
    volume = add_scan(scene)
    session.preview(volume)
    remove(session, volume, "liver")
    add_structure(session, volume, "Liver ")
    session.logic.submit(volume, "me")
    session.settle()
    numbers, array = stored_numbers(server)
    assert numbers["Liver "] == 1 and (array == 1).sum() == PIECE.sum()


def test_a_renamed_organ_is_none_of_the_models_and_the_reader_is_told(session, scene, server):
    volume = add_scan(scene)
    session.preview(volume)
    segmentation(session, volume).GetSegmentation().GetSegment("right kidney").SetName("Zyste")
    session.logic.submit(volume, "me")
    session.settle()
    numbers, array = stored_numbers(server)
    assert numbers["Zyste"] not in MODEL.values() and not (array == 2).any() and (array == numbers["Zyste"]).any()
    told = session.messages[-1]
    assert told.level == "warning" and "“Zyste”" in told.text and "“right kidney”" in told.text


def test_the_table_has_no_volume_of_the_model_for_a_structure_that_it_did_not_find(session, scene):
    volume = add_scan(scene)
    session.preview(volume)
    remove(session, volume, "liver")
    add_structure(session, volume, "tumour")
    rows = {organ.name: organ.server_ml for organ in session.logic.organ_volumes(volume)}
    assert rows["tumour"] is None and rows["spleen"] is not None


def cropped(volume: Any) -> Any:
    """Crop a scan in place: it keeps its attributes, as a clone does, and a part of its voxels."""
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    part = np.ascontiguousarray(VolumeExport.voxels(volume)[2:14, 3:25, 4:36])
    affine = Geometry.ijk_to_ras(volume)
    affine[:3, 3] += affine[:3, :3] @ (4, 3, 2)
    node = volume.GetScene().CopyNode(volume)
    image = vtk.vtkImageData()
    image.SetDimensions(*part.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(part.reshape(-1), deep=True))
    node.SetAndObserveImageData(image)
    node.SetIJKToRASMatrix(Geometry.as_matrix(affine))
    return node


def test_a_label_of_a_cropped_scan_does_not_replace_that_of_the_whole_one(reader, stored):
    stored.put("case", "final", their_label()[0], {"annotator": "Dr. Ä"})
    part = cropped(open_case(reader))
    assert StoredImages.image_id(part) == "" and not StoredImages.known_labels(part)
    reader.preview(part)
    submit(reader, part)
    assert len(stored.versions_of["case", "final"]) == 1, "outside of the part it would say that there is nothing"
    image = StoredImages.image_id(part)
    assert image.startswith("slicer-") and f"“{image}”" in reader.messages[-1].text
    np.testing.assert_array_equal(decode(stored.images[image][1]).array, VolumeExport.voxels(part))
    submit(reader, part)
    assert StoredImages.image_id(part) == image and merged(reader, part).any()
