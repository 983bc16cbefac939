"""MONAI Label's own client corrects by points and scribbles, as 3D Slicer's module sends them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelClientException

from tests.label_app.holes import ask
from tests.label_app.servers import Server, fill, start_semgan

pytestmark = pytest.mark.label

FAST = {"result_extension": ".nii.gz", "reach_mm": 0}


@pytest.fixture(scope="module")
def room(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own: sittings are remembered."""
    home = tmp_path_factory.mktemp("corrections")
    with start_semgan(fill(home / "studies"), home / "home", "--bundle", tiny_bundle) as server:
        yield server


@pytest.fixture
def client(room: Server, tmp_path: Path) -> MONAILabelClient:
    """A client that nobody else is."""
    return MONAILabelClient(room.address, tmpdir=str(tmp_path), client_id=tmp_path.name)


def preview(client: MONAILabelClient) -> tuple[np.ndarray, dict[str, int]]:
    """Label of the CT before all corrections, and ids by name."""
    file, facts = client.infer("semgan_preview", "ct", {"result_extension": ".nii.gz"})
    return voxels(file), dict(facts["label_names"])


def voxels(file: str) -> np.ndarray:
    """What a file holds."""
    return np.asarray(nibabel.load(file).dataobj).astype(np.uint8)


def points(client: MONAILabelClient, name: str, foreground: Any = (), background: Any = (), **more: Any) -> np.ndarray:
    """A structure after points, as SmartEdit of 3D Slicer's module asks for it."""
    params = {"label": name, "foreground": list(foreground), "background": list(background), **FAST, **more}
    file, facts = client.infer("semgan_points", "ct", params)
    assert list(facts["label_names"]) == [name]
    found = voxels(file)
    assert set(np.unique(found)) <= {0, facts["label_names"][name]}
    return found > 0


def far_from(label: np.ndarray, index: int) -> list[int]:
    """A voxel of the middle slice that is not of a structure."""
    middle = label.shape[2] // 2
    return [*map(int, np.argwhere(label[:, :, middle] != index)[7]), middle]


def test_stock_clients_are_offered_points_and_scribbles(client: MONAILabelClient) -> None:
    models = client.info()["models"]
    assert (models["semgan_points"]["type"], models["semgan_points"]["dimension"]) == ("deepgrow", 3)
    assert models["semgan_scribbles"]["type"] == "scribbles"
    assert models["semgan_points"]["labels"] == models["semgan_preview"]["labels"]
    assert models["semgan_points"]["config"]["reach_mm"] == 25.0


def test_points_are_followed_one_after_the_other_and_taken_back(client: MONAILabelClient) -> None:
    before, names = preview(client)
    name = next(iter(names))
    first, second = far_from(before, names[name]), [1, 1, before.shape[2] // 2]
    assert np.array_equal(points(client, name), before == names[name])
    assert points(client, name, [first])[tuple(first)]
    both = points(client, name, [first], [second])
    assert both[tuple(first)] and not both[tuple(second)]
    assert np.array_equal(points(client, name), before == names[name])


def test_points_of_other_structures_stay(client: MONAILabelClient) -> None:
    before, names = preview(client)
    one, other = list(names)[:2]
    there = far_from(before, names[one])
    points(client, one, [there])
    assert not points(client, other)[tuple(there)]
    assert points(client, one, [there])[tuple(there)]


def test_a_session_is_corrected_as_an_image_of_the_studies_is(client: MONAILabelClient, room: Server) -> None:
    session = client.create_session(str(room.studies / "ct.nii.gz"))["session_id"]
    before, names = preview(client)
    name = next(iter(names))
    there = far_from(before, names[name])
    params = {"label": name, "foreground": [there], "background": [], **FAST}
    file, _ = client.infer("semgan_points", "", params, session_id=session)
    assert voxels(file)[tuple(there)]


def test_scribbles_correct_the_label_that_comes_with_them(
    client: MONAILabelClient, room: Server, tmp_path: Path
) -> None:
    before, names = preview(client)
    one, other = list(names)[:2]
    scan = nibabel.load(room.studies / "ct.nii.gz")
    sent = np.zeros(scan.shape, np.uint8)  # numbered in the order of the segments, as 3D Slicer's module does
    middle = scan.shape[1] // 2  # slices lie along the second axis of this scan
    sent[4:9, middle, 4:9] = 1
    sent[6, middle, 6] = 3
    sent[20:24, middle, 10] = 4
    told = [other, one, "background_scribbles", "foreground_scribbles"]
    path = tmp_path / "scribbles.nii.gz"
    nibabel.save(nibabel.Nifti1Image(sent, scan.affine), path)
    params = {
        "label_info": [{"name": name, "id": number} for number, name in enumerate(told, 1)],
        "selected_label_name": other,
        "roi": [],
        **FAST,
    }
    file, facts = client.infer("semgan_scribbles", "ct", dict(params), label_in=str(path))
    found = voxels(file) == facts["label_names"][other]
    assert found[20:24, middle, 10].all() and not found[6, middle, 6]
    assert not np.delete(found, middle, axis=1).any()


def test_prompts_that_make_no_sense_are_refused_with_the_reason(client: MONAILabelClient, room: Server) -> None:
    _, names = preview(client)
    name = next(iter(names))
    for params, told in (
        ({"label": "bladder"}, f"unknown structure 'bladder'; this model knows {name}"),
        ({}, "no structure is named"),
        ({"label": name, "foreground": [[9999, 0, 0]]}, "lies outside the scan"),
        ({"label": name, "foreground": [["a", 0, 0]]}, "no list of points"),
        ({"label": name, "reach_mm": -1}, "reach_mm is no number"),
        ({"label": name, "scribbles": "/etc/passwd"}, "params must not set scribbles"),
    ):
        with pytest.raises(MONAILabelClientException, match="422") as caught:
            client.infer("semgan_points", "ct", dict(params))
        assert told in str(caught.value.msg), caught.value.msg
    with pytest.raises(MONAILabelClientException, match="no label map with scribbles"):
        client.infer("semgan_scribbles", "ct", {"selected_label_name": name})
    answer = ask(room, "POST", "/batch/infer/semgan_points", json={})
    assert answer.status_code == 404 and "semgan_preview" in answer.json()["detail"]


def test_a_client_that_keeps_results_where_the_server_does_keeps_its_copy(room: Server) -> None:
    client = MONAILabelClient(room.address, tmpdir=tempfile.gettempdir())
    file, _ = client.infer("semgan_preview", "ct", {})
    client.info()  # the server is done with the answer
    assert np.asarray(nibabel.load(file).dataobj).any()
    Path(file).unlink()
