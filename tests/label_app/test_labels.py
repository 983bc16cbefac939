"""Labels that readers hand in: nobody's work is lost, replaced unseen, or made into something else."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import requests
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from tests.label_app.holes import ask, infer
from tests.label_app.servers import Server, fill, start_semgan

pytestmark = pytest.mark.label

Put = Callable[..., requests.Response]
_tags = itertools.count()


@pytest.fixture(scope="module")
def server(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`semgan serve`, with labels of these tests alone."""
    folder = tmp_path_factory.mktemp("labels")
    with start_semgan(fill(folder / "studies"), folder / "home", "--bundle", tiny_bundle) as started:
        yield started


@pytest.fixture
def tag() -> str:
    """A tag of which there are no labels yet."""
    return f"tag{next(_tags)}"


def scan(server: Server, image: str = "ct") -> Any:
    return nibabel.load(server.studies / f"{image}.nii.gz")


def label(server: Server, seed: int = 0, image: str = "ct", ids: int = 5) -> np.ndarray:
    """Label ids of which every voxel is drawn by chance."""
    return np.random.default_rng(seed).integers(0, ids, scan(server, image).shape).astype(np.uint8)


def put(
    server: Server,
    array: np.ndarray,
    tag: str,
    params: dict[str, Any] | None = None,
    *,
    affine: np.ndarray | None = None,
    **headers: str,
) -> requests.Response:
    """Hand in a label of the CT as `label.nii`."""
    stored = nibabel.Nifti1Image(array, scan(server).affine if affine is None else affine)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(
        server,
        "PUT",
        f"/datastore/label?image=ct&tag={tag}",
        files={"label": ("label.nii", stored.to_bytes())},
        data={"params": json.dumps(params or {})},
        headers=named,
    )


def array_of(answer: requests.Response) -> np.ndarray:
    assert answer.ok, answer.text
    return np.asarray(nibabel.Nifti1Image.from_bytes(answer.content).dataobj)


def facts(server: Server, tag: str, image: str = "ct") -> dict[str, Any]:
    answer = ask(server, "GET", f"/semgan/labels/{image}")
    assert answer.ok, answer.text
    return next(one for one in answer.json()["labels"] if one["tag"] == tag)


@pytest.mark.parametrize("codes", ["RAS", "LAS", "LPS", "PSR", "SPR", "ILA"])
def test_a_label_along_other_axes_is_stored_on_the_grid_of_its_scan(codes: str, server: Server, tag: str) -> None:
    image, ids = scan(server), label(server)
    change = ornt_transform(nibabel.io_orientation(image.affine), axcodes2ornt(codes))
    turned = nibabel.apply_orientation(ids, change)
    affine = image.affine @ inv_ornt_aff(change, ids.shape)
    assert put(server, turned, tag, affine=affine).ok
    answer = ask(server, "GET", f"/datastore/label?label=ct&tag={tag}")
    assert np.array_equal(array_of(answer), ids), "voxels moved"
    np.testing.assert_allclose(nibabel.Nifti1Image.from_bytes(answer.content).affine, image.affine, atol=1e-3)


def test_a_shifted_label_is_refused_with_the_distance(server: Server, tag: str) -> None:
    affine = scan(server).affine.copy()
    affine[0, 3] += 7.0
    answer = put(server, label(server), tag, affine=affine)
    assert answer.status_code == 422 and "its centre lies 7 mm away" in answer.json()["detail"], answer.text


def test_who_when_and_from_which_model_is_told_of_every_version(server: Server, tag: str) -> None:
    first, second = label(server, 1), label(server, 2)
    started = time.time()
    params = {"annotator": "Dr. Ä", "model": "organs", "edited": True}
    assert put(server, first, tag, params).ok
    assert put(server, second, tag, {"annotator": "Dr. B", "model": "organs", "edited": False}).ok
    told = facts(server, tag)
    assert (told["annotator"], told["model"], told["edited"], told["review"]) == ("Dr. B", "organs", False, None)
    assert told["version"] == 2 and [one["version"] for one in told["versions"]] == [1]
    (before,) = told["versions"]
    assert (before["annotator"], before["edited"]) == ("Dr. Ä", True)
    from datetime import datetime

    assert abs(datetime.fromisoformat(before["saved"]).timestamp() - started) < 60
    for version, ids in ((1, first), (2, second)):
        answer = ask(server, "GET", f"/semgan/labels/ct/{tag}/{version}")
        assert np.array_equal(array_of(answer), ids)
    assert answer.headers["ETag"] == f'"{told["etag"]}"'
    assert ask(server, "GET", f"/semgan/labels/ct/{tag}/3").status_code == 404


def test_all_routes_tell_the_same_etag(server: Server, tag: str) -> None:
    etag = put(server, label(server), tag).headers["ETag"]
    assert etag == f'"{facts(server, tag)["etag"]}"'
    for method, name in (("GET", "label"), ("HEAD", "image")):
        assert ask(server, method, f"/datastore/label?{name}=ct&tag={tag}").headers["ETag"] == etag
    assert put(server, label(server, 1), tag).headers["ETag"] != etag


def test_a_label_that_a_reader_has_not_seen_is_not_replaced(server: Server, tag: str) -> None:
    first = put(server, label(server, 1), tag, {"annotator": "Dr. A", "edited": True})
    seen = first.headers["ETag"]
    anew = put(server, label(server, 3), tag, If_None_Match="*")
    assert anew.status_code == 412 and "Dr. A" in anew.json()["detail"] and "edited" in anew.json()["detail"]
    assert put(server, label(server, 2), tag, {"annotator": "Dr. B"}, If_Match=seen).ok
    late = put(server, label(server, 4), tag, If_Match=seen)
    assert late.status_code == 412 and "Dr. B" in late.json()["detail"], late.text
    assert time.strftime("%Y-%m-%d", time.gmtime()) in late.json()["detail"]
    assert late.headers["ETag"] == f'"{facts(server, tag)["etag"]}"'
    assert np.array_equal(array_of(ask(server, "GET", f"/datastore/label?label=ct&tag={tag}")), label(server, 2))
    missing = put(server, label(server), f"{tag}x", If_Match='"0"')
    assert missing.status_code == 412 and "no such label" in missing.json()["detail"]
    assert put(server, label(server, 4), tag, If_Match=f'"0", W/{late.headers["ETag"]}').ok


def test_a_request_that_is_sent_again_since_its_answer_was_lost_changes_nothing(server: Server, tag: str) -> None:
    seen = put(server, label(server, 1), tag).headers["ETag"]
    params = {"annotator": "Dr. B"}
    for _ in range(2):
        assert put(server, label(server, 2), tag, params, If_Match=seen).ok
    assert facts(server, tag)["version"] == 2 and len(facts(server, tag)["versions"]) == 1


def test_a_second_reader_reviews_a_label_that_he_or_she_has_seen(server: Server, tag: str) -> None:
    etag = put(server, label(server, 1), tag, {"annotator": "Dr. A"}).headers["ETag"]
    path, words = f"/semgan/labels/ct/{tag}/review", {"reviewer": "Dr. B", "verdict": "rejected", "comment": "Sides!"}

    def review(body: Any, **headers: str) -> requests.Response:
        return ask(server, "PUT", path, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    assert review(words).status_code == 428
    assert review(words, If_Match='"other"').status_code == 412
    assert review({**words, "verdict": "perhaps"}, If_Match=etag).status_code == 422
    assert review({**words, "reviewer": " "}, If_Match=etag).status_code == 422
    own = review({**words, "reviewer": "dr. a"}, If_Match=etag)
    assert own.status_code == 409 and "second reader" in own.json()["detail"]
    answer = review(words, If_Match=etag)
    assert answer.ok and answer.headers["ETag"] == etag, answer.text
    told = facts(server, tag)["review"]
    assert told["when"] and {key: told[key] for key in words} == words
    assert put(server, label(server, 2), tag).ok
    assert facts(server, tag)["review"] is None, "a verdict is on one version"
    assert facts(server, tag)["versions"][0]["review"]["verdict"] == "rejected"


def test_only_final_labels_that_no_reader_has_rejected_are_trained_with(server: Server) -> None:
    def trained() -> list[str]:
        pairs = ask(server, "GET", "/datastore/?output=train").json()
        return [Path(pair["image"]).name for pair in pairs]

    assert put(server, label(server), "preliminary").ok
    assert trained() == []
    etag = put(server, label(server), "final", {"annotator": "Dr. A"}).headers["ETag"]
    assert trained() == ["ct.nii.gz"]
    body = {"reviewer": "Dr. B", "verdict": "rejected", "comment": ""}
    for verdict, expected in (("rejected", []), ("accepted", ["ct.nii.gz"])):
        asked = {"json": {**body, "verdict": verdict}, "headers": {"If-Match": etag}}
        assert ask(server, "PUT", "/semgan/labels/ct/final/review", **asked).ok
        assert trained() == expected, verdict


def test_a_label_is_not_emptied_by_mistake(server: Server, tag: str) -> None:
    empty = np.zeros(scan(server).shape, np.uint8)
    assert put(server, empty, tag).ok, "a scan may show no organ"
    assert put(server, label(server), tag, {"annotator": "Dr. A"}).ok
    answer = put(server, empty, tag)
    assert answer.status_code == 409 and "allow_empty" in answer.json()["detail"], answer.text
    assert put(server, empty, tag, {"allow_empty": "yes"}).status_code == 409
    assert put(server, empty, tag, {"allow_empty": True}).ok
    assert facts(server, tag)["versions"][0]["annotator"] == "Dr. A"


@pytest.mark.parametrize(
    "label_info",
    [None, [], "7", [{"name": "cyst"}], [{"name": "cyst", "idx": 8}], [7], {"name": "cyst", "idx": 7}],
)
def test_ids_that_nobody_has_explained_are_refused(label_info: Any, server: Server, tag: str) -> None:
    ids = label(server)
    ids[0, 0, :2] = 7, 200
    answer = put(server, ids, tag, {"label_info": label_info})
    assert answer.status_code == 422 and "7" in answer.json()["detail"] and "label_info" in answer.json()["detail"]


def test_ids_that_the_client_explains_are_taken(server: Server, tag: str) -> None:
    ids = label(server)
    ids[0, 0, :2] = 7, 200
    told = [{"name": "cyst", "idx": 7, "color": [1, 2, 3]}, {"name": "stent", "idx": "200"}]
    assert put(server, ids, tag, {"label_info": told}).ok


def test_a_label_remembers_what_its_ids_meant_to_the_model_when_it_came(server: Server, tag: str) -> None:
    assert put(server, label(server, ids=3), tag).ok
    model = ask(server, "GET", "/semgan/models").json()["models"][0]
    names = {one["id"]: one["name"] for one in model["labels"]}
    noted = ask(server, "GET", f"/datastore/label/info?label=ct&tag={tag}").json()["label_info"]
    assert noted == [{"name": names[1], "idx": 1}, {"name": names[2], "idx": 2}]


def test_a_client_cannot_pass_its_label_off_as_the_model_s_or_of_another_image(server: Server, tag: str) -> None:
    forged = {
        "image_state": "x",
        "saved_by": "model",
        "params": {},
        "model": "organs",
        "review": {"verdict": "accepted"},
    }
    assert put(server, label(server), tag, {**forged, "annotator": "Dr. A"}).ok
    info = {"info": json.dumps({**forged, "note": "kept"})}
    assert ask(server, "PUT", f"/datastore/label/info?label=ct&tag={tag}", data=info).ok
    told = facts(server, tag)
    assert told["annotator"] == "Dr. A" and told["review"] is None
    assert ask(server, "GET", f"/datastore/label/info?label=ct&tag={tag}").json()["note"] == "kept"


def test_a_model_s_label_never_takes_the_place_of_a_reader_s(server: Server, tag: str) -> None:
    assert infer(server, "image=ct", {"save_label": True, "label_tag": tag}).ok
    assert infer(server, "image=ct", {"save_label": True, "label_tag": tag}).ok, "the model may replace its own"
    made = facts(server, tag)
    assert made["annotator"] is None and made["edited"] is False and made["versions"] == []
    mine = label(server)
    assert put(server, mine, tag, {"annotator": "Dr. A"}).ok
    assert [one["annotator"] for one in facts(server, tag)["versions"]] == [None]
    answer = infer(server, "image=ct", {"save_label": True, "label_tag": tag})
    assert answer.status_code == 422 and "a reader's label is there" in answer.json()["detail"]
    assert np.array_equal(array_of(ask(server, "GET", f"/datastore/label?label=ct&tag={tag}")), mine)


def test_a_batch_leaves_the_labels_of_readers_and_counts_them_as_failed(server: Server, tag: str) -> None:
    from tests.label_app.holes import wait_for_batch

    mine = label(server)
    assert put(server, mine, tag).ok
    assert ask(server, "POST", "/batch/infer/semgan_preview", json={"label_tag": tag}).ok
    assert wait_for_batch(server)["progress"]["failed"] == 1
    assert np.array_equal(array_of(ask(server, "GET", f"/datastore/label?label=ct&tag={tag}")), mine)
    assert facts(server, tag, "mr")["edited"] is False


def test_a_removed_label_can_be_had_back(server: Server, tag: str) -> None:
    mine = label(server)
    assert put(server, mine, tag, {"annotator": "Dr. A"}).ok
    assert ask(server, "DELETE", f"/datastore/label?id=ct&tag={tag}").ok
    told = ask(server, "GET", "/semgan/labels/ct").json()
    assert tag not in [one["tag"] for one in told["labels"]]
    (removed,) = (one for one in told["removed"] if one["tag"] == tag)
    assert removed["versions"][0]["annotator"] == "Dr. A"
    assert np.array_equal(array_of(ask(server, "GET", f"/semgan/labels/ct/{tag}/1")), mine)
    assert put(server, label(server, 1), tag, If_None_Match="*").ok
    assert facts(server, tag)["version"] == 2


def test_a_hundred_labels_at_once_are_all_kept(server: Server, tag: str) -> None:
    sent = {number: label(server, number) for number in range(100)}
    answers: dict[int, int] = {}
    etags: dict[str, int] = {}

    def hand_in(numbers: list[int]) -> None:
        for number in numbers:
            answer = put(server, sent[number], tag, {"annotator": f"Reader {number}"})
            answers[number] = answer.status_code
            etags[answer.headers["ETag"].strip('"')] = number

    threads = [threading.Thread(target=hand_in, args=(list(range(start, 100, 20)),)) for start in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers.values()) == {200}
    told = facts(server, tag)
    versions = [told, *told["versions"]]
    assert sorted(one["version"] for one in versions) == list(range(1, 101))
    for one in versions:
        number = int(one["annotator"].removeprefix("Reader "))
        assert etags[one["etag"]] == number, "the answer tells of the label that was sent, not of the one that is there"
        kept = array_of(ask(server, "GET", f"/semgan/labels/ct/{tag}/{one['version']}"))
        assert np.array_equal(kept, sent.pop(number))
    assert not sent
    assert tag in json.loads((server.studies / "datastore_v2.json").read_text())["objects"]["ct"]["labels"]


def test_of_two_readers_who_have_seen_the_same_label_one_is_asked_to_look_again(server: Server, tag: str) -> None:
    seen = put(server, label(server, 0), tag).headers["ETag"]
    answers: list[requests.Response] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(put(server, label(server, n), tag, If_Match=seen)))
        for n in range(1, 9)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7


def test_unknown_images_tags_and_versions_are_told(server: Server) -> None:
    for path in ("/semgan/labels/nobody", "/semgan/labels/ct/nothing/1", "/semgan/labels/ct/..%2Ffinal/1"):
        assert ask(server, "GET", path).status_code == 404
    assert ask(server, "GET", "/semgan/labels/ct/final/one").status_code == 422
    review = {"json": {"reviewer": "B", "verdict": "accepted"}, "headers": {"If-Match": "*"}}
    assert ask(server, "PUT", "/semgan/labels/mr/final/review", **review).status_code == 404


def test_a_server_killed_while_it_saves_has_facts_of_the_label_that_is_there(tiny_bundle: Path, tmp_path: Path) -> None:
    studies = fill(tmp_path / "studies")
    with start_semgan(studies, tmp_path / "home", "--bundle", tiny_bundle) as server:
        sent = {f"Reader {number}": label(server, number) for number in range(8)}

        some_in = threading.Event()

        def hand_in() -> None:
            with contextlib.suppress(requests.RequestException):
                for number, (name, ids) in enumerate(itertools.cycle(sent.items())):
                    put(server, ids, "final", {"annotator": name})
                    if number > 2:
                        some_in.set()

        threading.Thread(target=hand_in, daemon=True).start()
        assert some_in.wait(300)
        time.sleep(0.5)  # in the middle of any step
        server.process.kill()
        server.process.wait(100)
    with start_semgan(studies, tmp_path / "home2", "--bundle", tiny_bundle) as server:
        told = facts(server, "final")
        for one in (told, *told["versions"]):
            kept = array_of(ask(server, "GET", f"/semgan/labels/ct/final/{one['version']}"))
            assert np.array_equal(kept, sent[one["annotator"]])
    assert not list(studies.rglob(".*.part.*"))
