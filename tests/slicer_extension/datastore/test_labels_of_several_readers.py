"""Labels that several readers share: none is replaced unseen, all can be opened, and a second reader can judge."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import numpy as np
import pytest
from SemGANLib.Scene import Geometry
from SemGANLib.Scene.Records import record_of
from SemGANLib.Scene.SegmentationImport import segment_ids
from SemGANLib.Server.Nrrd import Grid, decode, encode

from tests.slicer_extension.fake_server import segment
from tests.slicer_extension.nodes import expected, merged, paint
from tests.slicer_extension.scan_files import file_of, phantom
from tests.slicer_extension.session import Session

OUT = {"score": 0.9, "verdict": "out of domain", "advice": "Look at every slice."}
SAVED = datetime(2026, 11, 28, 14, 32, 7, tzinfo=timezone.utc).astimezone().strftime("%Y-%m-%d %H:%M")
"""When the server has saved the labels of others, by the clock of this computer."""

FOUND = {"annotator": "Dr. Ä", "model": "semgan_abdomen", "model_version": "1.2", "mode": "preview", "edited": True}


def open_case(reader: Session) -> Any:
    """Open the image of the server."""
    reader.logic.open_image("case")
    reader.settle()
    assert reader.opened, reader.messages
    return reader.opened[-1]


def their_label(suffix: str = ".nrrd", value: int = 4) -> tuple[bytes, np.ndarray]:
    """Make a label of another reader: file and array in the order of the scan's file."""
    grid = phantom("LAS")
    array = segment(grid.array)
    array[2:5, 3:9, 4:20] = value
    return file_of(Grid(array, grid.affine), suffix), array


def submit(reader: Session, volume: Any, user: str = "Dr. B", tag: str = "final") -> None:
    """Press Submit label and wait."""
    reader.logic.submit(volume, user, tag)
    reader.settle()
    reader.settle()


def draw(reader: Session, volume: Any, name: str = "spleen", empty: bool = False) -> None:
    """Correct a structure."""
    node = volume.GetScene().GetNodeByID(reader.logic.outcome(volume).segmentation_id)  # type: ignore[union-attr]
    array = np.zeros((16, 28, 40), bool)
    if not empty:
        array[1:4, 2:8, 2:9] = True
    paint(node, volume, name, array)


class TestOpening:
    """The image comes with the label that it has."""

    @pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".nii", ".mha"])
    def test_a_label_lies_where_its_reader_has_drawn_it(self, reader, stored, suffix):
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

    def test_the_final_label_goes_before_others(self, reader, stored):
        for tag, value in (("original", 1), ("final", 2), ("preliminary", 4)):
            stored.put("case", tag, their_label(value=value)[0], {"annotator": tag})
        volume = open_case(reader)
        node = volume.GetScene().GetNodeByID(reader.logic.outcome(volume).segmentation_id)
        assert node.GetName().startswith("case: final label, final")

    def test_an_image_without_a_label_is_opened_alone(self, reader, stored):
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
    def test_structures_of_the_readers_own_keep_name_and_voxels(self, reader, stored, told, name):
        data, array = their_label(value=9)
        stored.put("case", "final", data, told)
        volume = open_case(reader)
        assert (merged(reader, volume) == 9).sum() == (array == 9).sum()
        node = volume.GetScene().GetNodeByID(reader.logic.outcome(volume).segmentation_id)
        names = [node.GetSegmentation().GetSegment(one).GetName() for one in segment_ids(node)]
        assert name in names and len(set(names)) == len(names)

    def test_a_models_label_comes_with_what_the_model_said(self, reader, stored):
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
    def test_what_a_server_tells_in_another_form_is_left_out(self, reader, stored, told):
        stored.put("case", "original", their_label()[0], {"model": 5, "params": told})
        volume = open_case(reader)
        assert (merged(reader, volume) > 0).any() and reader.logic.outcome(volume).result.findings == ()

    @pytest.mark.parametrize("kind", ["damaged", "elsewhere", "deep numbers"])
    def test_a_label_that_cannot_be_shown_leaves_the_image(self, reader, stored, kind):
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

    def test_a_label_of_the_server_can_be_corrected_and_submitted_again(self, reader, stored):
        stored.put("case", "final", their_label()[0], FOUND)
        volume = open_case(reader)
        draw(reader, volume)
        submit(reader, volume)
        assert not reader.asked, "it is this label that was corrected"
        newest = stored.versions_of["case", "final"][-1]
        assert newest.params["annotator"] == "Dr. B" and newest.params["edited"] is True
        assert newest.params["model"] == "semgan_abdomen"
        assert (decode(newest.data).array == 4).sum() == 3 * 6 * 7

    def test_a_label_that_a_reader_had_edited_stays_edited(self, reader, stored):
        stored.put("case", "preliminary", their_label()[0], FOUND)
        volume = open_case(reader)
        submit(reader, volume)
        assert stored.versions_of["case", "final"][-1].params["edited"] is True


class TestReplacing:
    """No label of somebody else goes without a question, and every one is kept."""

    @pytest.mark.parametrize("agreed", [True, False])
    def test_a_label_that_came_meanwhile_is_replaced_only_if_the_reader_says_so(self, reader, stored, agreed):
        volume = open_case(reader)
        reader.preview(volume)
        stored.put("case", "final", their_label()[0], FOUND)
        reader.answer = agreed
        submit(reader, volume)
        (question,) = reader.asked
        assert "Dr. Ä" in question and SAVED in question and "edited" in question
        assert "earlier version" in question
        kept = stored.versions_of["case", "final"]
        assert len(kept) == (2 if agreed else 1)
        assert reader.messages[-1].level == "info"
        assert ("Nothing was submitted" in reader.messages[-1].text) is not agreed

    def test_a_new_result_over_a_label_that_was_opened_is_asked_too(self, reader, stored):
        stored.put("case", "final", their_label()[0], FOUND)
        volume = open_case(reader)
        reader.preview(volume)
        reader.answer = False
        submit(reader, volume)
        assert len(reader.asked) == 1 and len(stored.versions_of["case", "final"]) == 1

    def test_an_own_label_is_submitted_again_without_a_question(self, reader, stored):
        volume = open_case(reader)
        reader.preview(volume)
        for _ in range(3):
            submit(reader, volume)
        assert not reader.asked and len(stored.versions_of["case", "final"]) == 3

    def test_whoever_came_between_the_question_and_the_answer_is_asked_about_as_well(self, reader, stored):
        volume = open_case(reader)
        reader.preview(volume)
        stored.put("case", "final", their_label()[0], FOUND)
        confirm = reader.logic._datastore._submitting._confirm

        def slow(title: str, text: str) -> bool:
            if "Dr. Ä" in text:
                stored.put("case", "final", their_label(value=1)[0], {"annotator": "Dr. C"})
            return confirm(title, text)

        reader.logic._datastore._submitting._confirm = slow
        submit(reader, volume)
        reader.settle()
        assert [("Dr. Ä" in text, "Dr. C" in text) for text in reader.asked] == [(True, False), (False, True)]
        assert len(stored.versions_of["case", "final"]) == 3

    @pytest.mark.parametrize("agreed", [True, False])
    def test_an_empty_label_does_not_replace_one_with_voxels_by_itself(self, reader, stored, agreed):
        stored.put("case", "final", their_label()[0], FOUND)
        volume = open_case(reader)
        for name in ("liver", "right kidney", "spleen"):
            draw(reader, volume, name, empty=True)
        reader.answer = agreed
        submit(reader, volume)
        assert len(reader.asked) == 1 and "empty" in reader.asked[0]
        assert len(stored.versions_of["case", "final"]) == (2 if agreed else 1)

    def test_a_label_that_was_removed_meanwhile_is_submitted_anew(self, reader, stored):
        stored.put("case", "final", their_label()[0], FOUND)
        volume = open_case(reader)
        stored.versions_of.clear()
        submit(reader, volume)
        assert not reader.asked and len(stored.versions_of["case", "final"]) == 1

    def test_preliminary_and_final_are_labels_of_their_own(self, reader, stored):
        volume = open_case(reader)
        reader.preview(volume)
        submit(reader, volume, tag="preliminary")
        assert "preliminary" in reader.messages[-1].text
        submit(reader, volume)
        assert not reader.asked and set(stored.versions_of) == {("case", "preliminary"), ("case", "final")}

    def test_another_servers_image_of_the_same_name_is_asked_about(self, reader, stored, server):
        volume = open_case(reader)
        reader.preview(volume)
        server.images["case"] = stored.images["case"]
        reader.connect(server.address)
        reader.answer = False
        submit(reader, volume)
        assert stored.address in reader.asked[-1] and server.address in reader.asked[-1]
        assert not server.labels
        reader.answer = True
        submit(reader, volume)
        assert list(server.labels) == [("case", "final")]


class TestOutOfDomain:
    """What the model does not know becomes final only after a look or a correction."""

    @pytest.mark.parametrize(
        ("verdict", "tag", "edited", "questions"),
        [
            ("out of domain", "final", False, 1),
            ("out of domain", "final", True, 0),
            ("out of domain", "preliminary", False, 0),
            ("in domain", "final", False, 0),
            ("unusual", "final", False, 0),
        ],
    )
    def test_only_an_unedited_final_one_is_asked_about(self, reader, stored, verdict, tag, edited, questions):
        stored.domain = {**OUT, "verdict": verdict}
        volume = open_case(reader)
        reader.preview(volume)
        if edited:
            draw(reader, volume)
        reader.answer = False
        submit(reader, volume, tag=tag)
        assert len(reader.asked) == questions
        assert len(stored.versions_of) == (0 if questions else 1)
        if questions:
            assert "learnt from" in reader.asked[0] and "preliminary" in reader.messages[-1].text

    def test_a_reader_who_has_looked_may_say_so(self, reader, stored):
        stored.domain = OUT
        volume = open_case(reader)
        reader.preview(volume)
        submit(reader, volume)
        assert len(reader.asked) == 1 and len(stored.versions_of["case", "final"]) == 1


class TestReview:
    """A second reader accepts or rejects what he or she has seen."""

    @pytest.mark.parametrize("verdict", ["accepted", "rejected"])
    def test_a_verdict_is_kept_beside_the_label(self, reader, stored, verdict):
        stored.put("case", "final", their_label()[0], FOUND)
        heard: list[Any] = []
        reader.logic.labels_changed.connect(heard.append)
        volume = open_case(reader)
        reader.logic.review(volume, "Dr. B", verdict, " the tip is missing ")
        reader.settle()
        reader.settle()
        review = stored.versions_of["case", "final"][-1].review
        assert (review["reviewer"], review["verdict"], review["comment"]) == ("Dr. B", verdict, "the tip is missing")
        (label,) = heard[-1].labels
        assert heard[-1].volume_id == volume.GetID() and heard[-1].image == "case"
        assert (label.tag, label.annotator, label.verdict, label.reviewer) == ("final", "Dr. Ä", verdict, "Dr. B")
        assert (label.edited, label.comment, label.model) == (True, "the tip is missing", "semgan_abdomen")

    def test_a_label_that_was_changed_meanwhile_is_not_judged(self, reader, stored):
        stored.put("case", "final", their_label()[0], FOUND)
        volume = open_case(reader)
        stored.put("case", "final", their_label(value=1)[0], {"annotator": "Dr. C"})
        reader.logic.review(volume, "Dr. B", "accepted")
        reader.settle()
        reader.settle()
        assert stored.versions_of["case", "final"][-1].review is None
        assert reader.messages[-1].level == "error" and "Dr. C" in reader.messages[-1].text

    @pytest.mark.parametrize(
        ("case", "word"),
        [("own", "somebody else"), ("own name", "somebody else"), ("unseen", "not seen"), ("no name", "name")],
    )
    def test_what_cannot_be_judged_says_why(self, reader, stored, case, word):
        user = "dr. ä " if case == "own name" else "" if case == "no name" else "Dr. B"
        if case in ("own name", "no name"):
            stored.put("case", "final", their_label()[0], FOUND)
        volume = open_case(reader)
        if case in ("own", "unseen"):
            reader.preview(volume)
        if case == "own":
            submit(reader, volume, "Dr. B")
            reader.logic.open_image("case")
            reader.settle()
            volume = reader.opened[-1]
        reader.logic.review(volume, user, "accepted")
        reader.settle()
        assert reader.messages[-1].level == "warning" and word in reader.messages[-1].text
        assert not any(version.review for kept in stored.versions_of.values() for version in kept)

    def test_a_changed_label_can_be_rejected_but_not_accepted(self, reader, stored):
        stored.put("case", "final", their_label()[0], FOUND)
        volume = open_case(reader)
        draw(reader, volume)
        reader.logic.review(volume, "Dr. B", "accepted")
        reader.settle()
        assert "changed" in reader.messages[-1].text
        reader.logic.review(volume, "Dr. B", "rejected", "spleen")
        reader.settle()
        assert stored.versions_of["case", "final"][-1].review["verdict"] == "rejected"

    def test_labels_of_a_volume_that_the_server_has_not_are_none(self, reader, stored, scene):
        from tests.slicer_extension.scans import add_scan

        heard: list[Any] = []
        reader.logic.labels_changed.connect(heard.append)
        reader.logic.list_labels(add_scan(scene))
        assert heard[-1].labels == () and heard[-1].image == ""


def test_an_older_server_takes_labels_as_before(session, scene, server):
    server.images["case"] = (".nrrd", encode(phantom("LAS")))
    session.logic.open_image("case")
    session.settle()
    volume = session.opened[-1]
    session.preview(volume)
    session.logic.submit(volume, "me")
    session.settle()
    assert list(server.labels) == [("case", "final")]
    np.testing.assert_array_equal(merged(session, volume), expected(volume))


def test_names_of_results_tell_model_and_time(reader, stored):
    volume = open_case(reader)
    reader.preview(volume)
    node = volume.GetScene().GetNodeByID(reader.logic.outcome(volume).segmentation_id)
    import re

    assert re.fullmatch(r"case: preview, semgan_abdomen 1\.2, \d\d:\d\d", node.GetName())
