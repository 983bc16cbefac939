"""MONAI's exports of a bundle with added structures hold all of them, and give what its own network gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import monai.bundle
import pytest
import torch

from monai_semgan.bundle.labels import ADDED
from monai_semgan.bundle.load import load_bundle
from monai_semgan.errors import SemganError
from monai_semgan.learning.added_bundle import write_added_bundle
from monai_semgan.learning.new_structures import NewStructure
from monai_semgan.networks.added_structures import StructureHead


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle with two heads that find something everywhere."""
    folder, made = tiny_bundle, tmp_path_factory.mktemp("added")
    for number, names in enumerate((["odd cyst", "odd duct"], ["odd lump"])):
        old = load_bundle(folder, "cpu")
        student, slices = old.network.student, old.preprocessing
        classes = slices.num_classes - old.network.added_count
        torch.manual_seed(number)
        head = StructureHead(student.feature_channels, slices.image_channels, classes, len(names), 8)  # type: ignore[arg-type]
        torch.nn.init.normal_(head.last.weight, std=5.0)
        folder = write_added_bundle(old, made / str(number), head, [NewStructure(name) for name in names], {})
    return folder


@pytest.fixture
def arguments(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the bundle's own description tells users to give, in the bundle's folder."""
    monkeypatch.chdir(bundle)
    files = {"ckpt_file": "models/model.pt", "config_file": "configs/inference.json"}
    return {"net_id": "network_def", "meta_file": "configs/metadata.json"} | files


def slice_of(bundle: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """A slice, and the probabilities that the bundle's own network gives."""
    loaded = load_bundle(bundle, "cpu")
    size, channels = loaded.preprocessing.size, loaded.preprocessing.image_channels
    image = torch.rand(1, channels, size, size, generator=torch.Generator().manual_seed(5)) * 2 - 1
    with torch.no_grad():
        found = loaded.network(image).softmax(1)
    assert found.shape[1] == len(loaded.labels) + 1 and (found[:, -3:].amax((0, 2, 3)) > 0.05).all()
    return image, found


@pytest.mark.parametrize("options", [{}, {"use_trace": True}], ids=["scripted", "traced"])
def test_torchscript_finds_what_the_bundle_finds(
    options: dict[str, object], bundle: Path, arguments: dict[str, str], tmp_path: Path
) -> None:
    image, expected = slice_of(bundle)
    shape = {"input_shape": list(image.shape)} if options else {}
    monai.bundle.ckpt_export(filepath=str(tmp_path / "all.ts"), **arguments, **options, **shape)
    with torch.no_grad():
        found = torch.jit.load(tmp_path / "all.ts")(image).softmax(1)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_onnx_finds_what_the_bundle_finds(bundle: Path, arguments: dict[str, str], tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    image, expected = slice_of(bundle)
    monai.bundle.onnx_export(filepath=str(tmp_path / "all.onnx"), input_shape=list(image.shape), **arguments)
    session = onnxruntime.InferenceSession(tmp_path / "all.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    torch.testing.assert_close(torch.from_numpy(found).softmax(1), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("export", [monai.bundle.ckpt_export, monai.bundle.onnx_export])
def test_weights_that_are_missing_are_named(
    export: Callable[..., None], bundle: Path, arguments: dict[str, str], tmp_path: Path
) -> None:
    hidden = (bundle / ADDED).rename(tmp_path / "hidden.pt")
    try:
        with pytest.raises(SemganError, match=ADDED.name):
            export(filepath=str(tmp_path / "all.out"), **arguments)
    finally:
        hidden.rename(bundle / ADDED)
    assert not (tmp_path / "all.out").exists()
