"""Labels that several readers share: none is replaced unseen, all can be opened, and a second reader can judge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from SemGANLib.Server.Nrrd import encode

from tests.slicer_extension.datastore.readers import FOUND, OUT, SAVED, draw, open_case, submit, their_label
from tests.slicer_extension.nodes import expected, merged
from tests.slicer_extension.scan_files import phantom
from tests.slicer_extension.scans import add_scan


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
        confirm = reader.logic._parts.datastore._submitting._confirm

        def slow(title: str, text: str) -> bool:
            if "Dr. Ä" in text:
                stored.put("case", "final", their_label(value=1)[0], {"annotator": "Dr. C"})
            return confirm(title, text)

        reader.logic._parts.datastore._submitting._confirm = slow
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
