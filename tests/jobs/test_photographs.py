"""Jobs on pictures in colours: they are sent as PNG or JPEG, and segmented by a model for them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from monai_semgan.io.reading import read_label, read_volume
from tests.jobs.conftest import Serve, Server
from tests.jobs.reader import Reader, stroke
from tests.skin_lesions import SIZE, lesion

pytestmark = pytest.mark.label


@pytest.fixture(scope="module")
def server(serve: Serve, make_studies: Callable[[], Path], photograph_bundle: Path) -> Server:
    return serve(make_studies(), bundle=photograph_bundle)


def sent(server: Server, form: str, suffix: str) -> str:
    """Id of an upload."""
    stream = io.BytesIO()
    Image.fromarray(lesion(1)[0]).save(stream, format=form)
    response = server.upload(stream.getvalue(), suffix)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


@pytest.mark.parametrize(("form", "suffix"), [("PNG", ".png"), ("JPEG", ".jpg")])
def test_a_picture_is_segmented_and_its_label_has_its_pixels(
    form: str, suffix: str, server: Server, tmp_path: Path
) -> None:
    job = server.done(server.submit(upload=sent(server, form, suffix), mode="invert", steps=2))
    result = server.get(f"/jobs/{job['id']}/result").json()
    assert result["modality"] == "XC"
    for part in ("label", "reconstruction", "residual", "uncertainty"):
        content = server.get(f"/jobs/{job['id']}/result/{part}", params={"format": "nii.gz"}).content
        path = tmp_path / f"{part}.nii.gz"
        path.write_bytes(content)
        read = read_label if part == "label" else read_volume
        assert read(path).array.shape == (*SIZE[::-1], 1), part


def test_a_stroke_corrects_a_picture(server: Server) -> None:
    job = server.done(server.submit(upload=sent(server, "PNG", ".png")))
    reader = Reader(server, job["id"])
    (index,) = list(reader.names)[:1]
    corrected = reader.corrected(stroke(reader, 3, index, k=0))
    assert (reader.label(corrected["id"])[3:6, 3, 0] == index).all()
    assert server.get(f"/jobs/{corrected['id']}/result").json()["volumes_ml"] == {}


def test_a_picture_that_is_none_is_refused_at_once(server: Server) -> None:
    response = server.upload(b"\x89PNG no picture" + bytes(200), ".png")
    assert response.status_code == 422 and "not a readable picture" in response.text


def test_a_volume_for_a_model_of_pictures_fails_in_one_line(server: Server) -> None:
    job = server.wait(server.submit(image="ct", mode="preview"))
    assert job["state"] == "failed" and "segments single photographs" in job["message"]
    assert "\n" not in job["message"]
