"""The real server, the real client and a real scene: from the click to a segmentation, and back as a label."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from SemGANLib.Protocols.CorrectionProtocol import CorrectionChoices
from SemGANLib.Scene import Geometry, SegmentationExport, VolumeExport
from SemGANLib.Scene.SegmentationImport import segment_ids
from SemGANLib.Server.Client import Client

from tests.slicer_extension.label_server import KEY, LabelServer, tiny_bundle
from tests.slicer_extension.nodes import add_transform, load, paint
from tests.slicer_extension.scans import GRIDS, add_scan
from tests.slicer_extension.session import Session

pytestmark = pytest.mark.slow

NUMBERS = {"liver": 1, "right kidney": 2, "left kidney": 3, "spleen": 4}

JOB_SECONDS = 240.0
"""The machine may be busy with other tests."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network with random weights: its labels mean nothing, but are the same everywhere."""
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="module")
def label_server(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelServer]:
    """One server for all tests of this file; it asks for a key."""
    home = tmp_path_factory.mktemp("server")
    with LabelServer(home, home / "studies", ["--bundle", str(bundle)]) as server:
        yield server


@pytest.fixture
def session(scene: Any, label_server: LabelServer) -> Session:
    """Connected to it."""
    session = Session(scene)
    session.connect(label_server.address, KEY)
    assert session.logic.connection.state == "on", session.logic.connection.text
    return session


def merged(session: Session, volume: Any) -> np.ndarray:
    """Merge the label map of the newest result."""
    node = volume.GetScene().GetNodeByID(session.logic.outcome(volume).segmentation_id)  # type: ignore[union-attr]
    return SegmentationExport.snapshot(node, volume).merged()


def servers_file(server: LabelServer, job: str, part: str, path: Path) -> Path:
    """Fetch a volume of a result in the server's other format, by other code than the extension's."""
    url = f"{server.address}/semgan/jobs/{job}/result/{part}?format=nii.gz"
    request = urllib.request.Request(url, headers={"X-API-Key": KEY})
    with urllib.request.urlopen(request, timeout=60) as answer:
        path.write_bytes(answer.read())
    return path


def test_a_wrong_key_is_refused(scene, label_server):
    session = Session(scene)
    session.connect(label_server.address, "wrong")
    assert session.logic.connection.state == "failed" and "key" in session.logic.connection.text


@pytest.mark.parametrize("kind", GRIDS)
def test_a_preview_equals_the_servers_nifti_voxel_for_voxel(session, scene, label_server, tmp_path, kind):
    volume = add_scan(scene, kind)
    session.logic.preview(volume)
    run = session.finish(volume, JOB_SECONDS)
    assert run.phase == "done", run.text
    outcome = session.logic.outcome(volume)
    other = load(scene, servers_file(label_server, outcome.job, "label", tmp_path / "label.nii.gz"))
    _equal_in_space(other, merged(session, volume), volume)
    assert merged(session, volume).any(), "an empty label would prove nothing"
    for part, identifier in outcome.maps.items():
        chart = load(scene, servers_file(label_server, outcome.job, part, tmp_path / f"{part}.nii.gz"))
        _equal_in_space(chart, VolumeExport.voxels(scene.GetNodeByID(identifier)), volume)


def _equal_in_space(other: Any, array: np.ndarray, volume: Any) -> None:
    """Check that a node that Slicer has read has the same value at every place as an array on the volume."""
    to_other = np.linalg.inv(Geometry.ijk_to_ras(other)) @ Geometry.ijk_to_ras(volume)
    assert np.abs(to_other - np.round(to_other)).max() < 1e-3, "on another grid"
    shape = array.shape[::-1]
    index = np.stack([*np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), np.ones(shape)], axis=-1)
    i, j, k = np.round(index @ to_other.T).astype(int)[..., :3].transpose(3, 0, 1, 2)
    values = VolumeExport.voxels(other)[k, j, i]
    np.testing.assert_allclose(values, array.transpose(), atol=1e-4)


def test_a_refinement_comes_in_parts_and_can_be_cancelled(session, scene, label_server, tmp_path):
    volume = add_scan(scene, "oblique")
    session.logic.choices.steps = 2000
    session.logic.refine(volume)
    session.wait(lambda: len(session.outcomes) >= 2, JOB_SECONDS)
    assert all(outcome.result.partial for outcome in session.outcomes)
    assert session.outcomes[1].result.version > session.outcomes[0].result.version
    running = session.logic.run(volume)
    assert "of 2000" in running.text and running.job.loss and running.job.slices == 16
    session.logic.cancel(volume)
    run = session.finish(volume, JOB_SECONDS)
    assert run.phase == "cancelled"
    outcome = session.logic.outcome(volume)
    assert segment_ids(scene.GetNodeByID(outcome.segmentation_id)) == ("liver", "right kidney", "left kidney", "spleen")
    other = load(scene, servers_file(label_server, outcome.job, "label", tmp_path / "label.nii.gz"))
    _equal_in_space(other, merged(session, volume), volume)


def test_a_refinement_ends_with_maps_and_values_by_slice(session, scene):
    volume = add_scan(scene, "flipped")
    session.logic.choices.steps = 3
    session.logic.refine(volume)
    run = session.finish(volume, JOB_SECONDS)
    assert run.phase == "done", run.text
    outcome = session.logic.outcome(volume)
    assert set(outcome.maps) == {"reconstruction", "residual", "uncertainty"}
    points = session.logic.slice_values(volume)
    assert len(points) == 16 and all(point.residual is not None for point in points)
    low, high = session.logic.slice_bounds(volume)
    assert points[0].position == pytest.approx(low, abs=0.1) and points[-1].position == pytest.approx(high, abs=0.1)
    rows = session.logic.organ_volumes(volume)
    assert all(row.measured_ml == pytest.approx(row.server_ml, abs=0.01) for row in rows)


def test_range_labels_and_transforms_are_honoured(session, scene):
    volume = add_scan(scene)
    matrix = np.eye(4)
    matrix[:3, 3] = (0.0, 0.0, 500.0)
    volume.SetAndObserveTransformNodeID(add_transform(scene, matrix).GetID())
    low, high = session.logic.slice_bounds(volume)
    assert low > 400
    middle = (low + high) / 2
    session.logic.choices.slice_range_mm, session.logic.choices.labels = (low - 1, middle), ("liver",)
    session.logic.preview(volume)
    assert session.finish(volume, JOB_SECONDS).phase == "done"
    label = merged(session, volume)
    assert set(np.unique(label)) <= {0, 1}
    positions = (Geometry.ijk_to_world(volume) @ np.stack([*np.zeros((2, 16)), np.arange(16), np.ones(16)]))[2]
    assert not label[positions > middle].any()


def test_a_label_is_submitted_and_its_image_can_be_opened_again(session, scene, label_server):
    volume = add_scan(scene, "oblique")
    session.logic.preview(volume)
    session.finish(volume, JOB_SECONDS)
    found = merged(session, volume)
    node = scene.GetNodeByID(session.logic.outcome(volume).segmentation_id)
    edited = np.zeros((16, 28, 40))
    edited[3:9, 4:20, 6:30] = 1
    paint(node, volume, "spleen", edited)
    session.logic.submit(volume, "Dr. Ä")
    session.settle()
    assert session.messages[-1].level == "info", session.messages[-1].text
    session.logic.list_images()
    session.settle()
    (image,) = session.logic.images.ids
    assert session.logic.images.labelled == {image: ("final",)}
    (stored,) = label_server.studies.glob("labels/final/*")
    back = load(scene, stored)
    _equal_in_space(back, merged(session, volume), volume)
    client = Client(label_server.address, KEY)
    content = client._get("/datastore/?output=all")
    info = content["objects"][image]["labels"]["final"]["info"]
    assert info["annotator"] == "Dr. Ä" and info["edited"] is True and info["mode"] == "preview"
    session.logic.open_image(image)
    session.settle()
    opened = session.opened[-1]
    _equal_in_space(opened, VolumeExport.voxels(volume), volume)
    session.logic.preview(opened)
    assert session.finish(opened, JOB_SECONDS).phase == "done"
    np.testing.assert_array_equal(merged(session, opened), found)
    session.logic.next_sample()
    session.settle()
    assert "all have a final label" in session.messages[-1].text


@pytest.mark.parametrize("kind", ["oblique", "flipped"])
def test_a_nifti_of_the_servers_is_segmented_by_its_id(session, scene, label_server, tmp_path, kind):
    import slicer

    source = add_scan(scene, kind)
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(tmp_path / f"case_{kind}.nii.gz"))
    assert storage.WriteData(source)
    (tmp_path / f"case_{kind}.nii.gz").replace(label_server.studies / f"case_{kind}.nii.gz")

    def listed() -> bool:
        session.logic.list_images()
        session.settle()
        return f"case_{kind}" in session.logic.images.ids

    session.wait(listed, 60)
    session.logic.open_image(f"case_{kind}")
    session.settle()
    volume = session.opened[-1]
    session.logic.preview(volume)
    run = session.finish(volume, JOB_SECONDS)
    assert run.phase == "done", run.text
    assert not any(view.phase in ("exporting", "uploading") for view in session.seen)
    outcome = session.logic.outcome(volume)
    other = load(scene, servers_file(label_server, outcome.job, "label", tmp_path / "label.nii.gz"))
    _equal_in_space(other, merged(session, volume), volume)
    (label_server.studies / f"case_{kind}.nii.gz").unlink()


@pytest.mark.parametrize("kind", ["oblique", "sagittal", "LAS"])
def test_a_stroke_corrects_its_surroundings_and_can_be_undone(session, scene, label_server, tmp_path, kind):
    volume = add_scan(scene, kind)
    session.logic.preview(volume)
    assert session.finish(volume, JOB_SECONDS).phase == "done"
    node = scene.GetNodeByID(session.logic.outcome(volume).segmentation_id)
    before = merged(session, volume)
    corrections = session.logic.corrections
    assert corrections.begin(volume)
    session.wait(lambda: corrections.state.ready, 60)
    mask, labels = np.zeros(before.shape, bool), [before]
    mask[tuple(np.array(before.shape) // 2)] = True
    for shift in (0, 2):
        stroke = np.roll(mask, shift, axis=(0, 1, 2)) | np.roll(mask, shift + 1, axis=(0, 1, 2))
        now = merged(session, volume)
        structure, value = next((name, n) for name, n in NUMBERS.items() if not (now[stroke] == n).any())
        paint(node, volume, structure, (now == value) | stroke)
        assert corrections.send_edits(structure, CorrectionChoices(reach_mm=12.0))
        session.wait(lambda: not corrections.state.busy, JOB_SECONDS)
        assert len(corrections.history()) == len(labels) + 1, session.messages[-1:]
        assert (merged(session, volume)[stroke] == value).all(), "a stroke always wins on its own voxels"
        labels.append(merged(session, volume))
    job = max(Client(label_server.address, KEY).jobs(), key=lambda job: job.created)
    assert job.correction == 2
    other = load(scene, servers_file(label_server, job.id, "label", tmp_path / "label.nii.gz"))
    _equal_in_space(other, labels[2], volume)
    for label in labels[1::-1]:
        corrections.undo()
        np.testing.assert_array_equal(merged(session, volume), label)


def test_corrections_go_on_where_the_server_has_forgotten_the_job(session, scene, label_server):
    volume = add_scan(scene)
    session.logic.preview(volume)
    session.finish(volume, JOB_SECONDS)
    outcome = session.logic.outcome(volume)
    node = scene.GetNodeByID(outcome.segmentation_id)
    corrections = session.logic.corrections
    assert corrections.begin(volume)
    session.wait(lambda: corrections.state.ready, 60)
    edited = np.zeros((16, 28, 40), bool)
    edited[8, 10:12, 5:30] = True
    session.logic._parts.connector.client.delete_job(outcome.job)
    paint(node, volume, "spleen", (merged(session, volume) == 4) | edited)
    assert corrections.send_edits("spleen")
    session.wait(lambda: not corrections.state.busy, JOB_SECONDS)
    assert len(corrections.history()) == 2, session.messages[-1:]
    assert (merged(session, volume)[edited] == 4).all()


@pytest.mark.parametrize("kind", ["LAS", "PSR"])
def test_a_left_handed_image_of_the_servers_is_corrected_where_it_was_drawn(
    session, scene, label_server, tmp_path, kind
):
    import slicer

    storage, name = slicer.vtkMRMLVolumeArchetypeStorageNode(), f"left_{kind}"
    storage.SetFileName(str(tmp_path / f"{name}.nii.gz"))
    assert storage.WriteData(add_scan(scene, kind))
    (tmp_path / f"{name}.nii.gz").replace(label_server.studies / f"{name}.nii.gz")

    def listed() -> bool:
        session.logic.list_images()
        session.settle()
        return name in session.logic.images.ids

    session.wait(listed, 60)
    session.logic.open_image(name)
    session.settle()
    volume = session.opened[-1]
    session.logic.preview(volume)
    assert session.finish(volume, JOB_SECONDS).phase == "done"
    node = scene.GetNodeByID(session.logic.outcome(volume).segmentation_id)
    corrections = session.logic.corrections
    assert corrections.begin(volume)
    session.wait(lambda: corrections.state.ready, 60)
    for depth, forgotten in ((4, False), (9, True)):
        if forgotten:  # the label goes to the server on the grid of Slicer
            session.logic._parts.connector.client.delete_job(session.logic.outcome(volume).job)
        before = merged(session, volume)
        stroke = np.zeros(before.shape, bool)
        stroke[depth, 5:8, 6:9] = True
        structure, value = next((name, n) for name, n in NUMBERS.items() if not (before[stroke] == n).any())
        paint(node, volume, structure, (before == value) | stroke)
        assert corrections.send_edits(structure, CorrectionChoices(only_slice=True))
        session.wait(lambda: not corrections.state.busy, JOB_SECONDS)
        after = merged(session, volume)
        assert (after[stroke] == value).all(), session.messages[-1:]
        away = np.ones(before.shape, bool)
        away[touched_layer(volume, stroke)] = False
        np.testing.assert_array_equal(after[away], before[away])
    assert len(corrections.history()) == 3
    (label_server.studies / f"{name}.nii.gz").unlink()


def touched_layer(volume: Any, stroke: np.ndarray) -> tuple[slice | np.ndarray, ...]:
    """Index the layers of voxels across the patient's axis in which a stroke lies."""
    along = int(np.argmax(np.abs(Geometry.ijk_to_ras(volume)[2, :3])))  # of i, j, k: the one that runs upwards
    places: list[slice | np.ndarray] = [slice(None)] * 3
    places[2 - along] = np.unique(np.argwhere(stroke)[:, 2 - along])
    return tuple(places)


def test_the_scan_leaves_no_trace_of_its_name_at_the_server(session, scene, label_server):
    volume = add_scan(scene, name="DOE^JOHN 19500101")
    session.logic.preview(volume)
    session.finish(volume, JOB_SECONDS)
    session.logic.submit(volume, "me")
    session.settle()
    assert "DOE" not in label_server.logged()
    for path in label_server.studies.rglob("*"):
        assert "DOE" not in path.name
        if path.is_file() and path.suffix in (".json", ".log"):
            assert "DOE" not in path.read_text(errors="replace")


def test_a_run_that_fails_here_ends_its_job_there(session, scene, label_server):
    volume = add_scan(scene)
    session.logic.choices.steps = 4321

    def broken(_outcome: Any) -> None:
        raise RuntimeError("the table cannot be drawn")

    session.logic.outcome_changed.connect(broken)
    session.logic.refine(volume)
    assert session.finish(volume, JOB_SECONDS).phase == "failed"
    client = Client(label_server.address, KEY)
    (job,) = [job for job in client.jobs() if job.request is not None and job.request.steps == 4321]
    session.wait(lambda: client.job(job.id).ended, JOB_SECONDS)
    assert client.job(job.id).state == "cancelled"


def test_the_server_loses_power_while_a_job_runs(scene, bundle, tmp_path):
    with LabelServer(tmp_path / "home", tmp_path / "studies", ["--bundle", str(bundle)]) as server:
        session = Session(scene)
        session.connect(server.address, KEY)
        volume = add_scan(scene)
        session.logic.choices.steps = 5000
        session.logic.refine(volume)
        session.wait(lambda: session.outcomes, JOB_SECONDS)
        server.kill()
        session.wait(lambda: session.logic.run(volume).phase == "lost", 60)
        kept = merged(session, volume)
        server.start()
        run = session.finish(volume, JOB_SECONDS)
        assert run.phase == "interrupted" and run.text in session.messages[-1].text
        assert merged(session, volume).shape == kept.shape and merged(session, volume).any()
        session.logic.preview(volume)
        assert session.finish(volume, JOB_SECONDS).phase == "done"
