"""The shipped bundle's files, loading, and the wheel that carries them."""

from __future__ import annotations

import configparser
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from monai_semgan.authoring.contents import bundle_files
from monai_semgan.bundle.digest import weights_digest
from monai_semgan.bundle.labels import bundle_folder, read_record
from monai_semgan.bundle.load import load_bundle
from monai_semgan.organs import structure_of
from monai_semgan.slicing.model_settings import find_settings
from tests.conftest import REPOSITORY, SHIPPED_BUNDLE

SCHEMA_REQUIRED = {
    "schema", "version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version", "task",
    "description", "authors", "copyright", "network_data_format",
}  # fmt: skip
TENSOR_REQUIRED = {"type", "format", "num_channels", "spatial_shape", "dtype", "value_range"}


def test_metadata_has_what_the_bundle_format_requires() -> None:
    metadata = json.loads((SHIPPED_BUNDLE / "configs" / "metadata.json").read_text())
    assert set(metadata) >= SCHEMA_REQUIRED
    assert metadata["schema"].endswith("meta_schema_20240725.json")
    assert metadata["version"] in metadata["changelog"]
    formats = metadata["network_data_format"]
    for tensor in (*formats["inputs"].values(), *formats["outputs"].values()):
        assert set(tensor) >= TENSOR_REQUIRED


def test_bundle_has_licence_and_documents() -> None:
    for name in ("LICENSE", "docs/README.md", "docs/data_license.txt"):
        assert (SHIPPED_BUNDLE / name).stat().st_size > 200
    assert "BTCV" in (SHIPPED_BUNDLE / "docs" / "data_license.txt").read_text()


def test_the_shipped_bundle_is_the_default_and_loads() -> None:
    assert bundle_folder() == SHIPPED_BUNDLE
    bundle = load_bundle(device="cpu")
    kept = find_settings(SHIPPED_BUNDLE / "models")
    assert kept is not None and bundle.labels == kept.labels
    assert list(bundle.labels.items())[:4] == [(1, "liver"), (2, "right kidney"), (3, "left kidney"), (4, "spleen")]
    assert all(structure_of(name) for name in bundle.labels.values()), "each has a code and a colour of its own"
    assert bundle.modalities == ("CT",)
    assert not any(p.requires_grad for p in bundle.network.parameters()) and not bundle.network.training
    assert (SHIPPED_BUNDLE / "models" / "model.pt").stat().st_size <= 25_000_000
    assert read_record(SHIPPED_BUNDLE)["dice"]


def test_network_definition_maps_an_image_to_one_channel_per_class() -> None:
    import torch
    from monai.bundle import ConfigParser

    metadata = json.loads((SHIPPED_BUNDLE / "configs" / "metadata.json").read_text())
    parser = ConfigParser()
    parser.read_config(str(SHIPPED_BUNDLE / "configs" / "inference.json"))
    network = parser.get_parsed_content("network_def")
    given = metadata["network_data_format"]["inputs"]["image"]
    with torch.no_grad():
        logits = network.eval()(torch.zeros(1, given["num_channels"], *given["spatial_shape"]))
    expected = metadata["network_data_format"]["outputs"]["pred"]
    assert logits.shape == (1, expected["num_channels"], *expected["spatial_shape"])
    assert str(logits.dtype) == f"torch.{expected['dtype']}"


def test_digest_follows_the_weights(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.pt").write_bytes((tiny_bundle / "models" / "model.pt").read_bytes() + b"x")
    assert weights_digest(tiny_bundle) != weights_digest(tmp_path)
    assert weights_digest(tmp_path / "models") == ""


def test_version_is_the_same_everywhere() -> None:
    import monai_semgan

    metadata = json.loads((SHIPPED_BUNDLE / "configs" / "metadata.json").read_text())
    assert metadata["required_packages_version"]["monai_semgan"] == monai_semgan.__version__
    assert f"## {monai_semgan.__version__}" in (REPOSITORY / "CHANGELOG.md").read_text()


def test_setup_cfg_tests_the_torch_range_that_the_installer_takes() -> None:
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    installer = (REPOSITORY / "scripts" / "environment.py").read_text()
    requirement = next(r for r in setup["options"]["install_requires"].split() if r.startswith("torch"))
    assert f'TORCH_RANGE = "{requirement}"' in installer


@pytest.mark.slow
def test_installed_wheel_segments_with_the_bundle_inside(ct_scan: Path, tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path / "wheel")
    names = zipfile.ZipFile(wheel).namelist()
    for path in bundle_files(SHIPPED_BUNDLE):
        assert f"monai_semgan/bundles/semgan_abdomen/{path.relative_to(SHIPPED_BUNDLE).as_posix()}" in names
    assert not [name for name in names if name.startswith(("tests", "bundles", "scripts", "benchmarks"))]
    python = empty_environment(tmp_path / "venv")
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel), cwd=tmp_path)
    out = tmp_path / "o.nii.gz"
    run(python.with_name("semgan"), "segment", str(ct_scan), "-o", str(out), "--device", "cpu", cwd=tmp_path)
    assert out.exists()
    facts = json.loads(run(python.with_name("semgan"), "info", "--json", cwd=tmp_path))
    assert facts["bundle"]["folder"].startswith(str(tmp_path / "venv"))
    run(python.with_name("semgan"), "bundle", "new", "mine", "--labels", "heart", cwd=tmp_path)
    assert (tmp_path / "mine" / "configs" / "train_gan.json").is_file()


def build_wheel(folder: Path) -> Path:
    """A wheel of this checkout, built in a copy, with the setuptools that is installed."""
    source = folder / "source"
    tracked = run("git", "ls-files", "-z", cwd=REPOSITORY).split("\0")
    shipped = [str(p.relative_to(REPOSITORY)) for p in SHIPPED_BUNDLE.rglob("*") if p.is_file()]
    for name in {n for n in (*tracked, *shipped) if n and (REPOSITORY / n).is_file()}:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((REPOSITORY / name).read_bytes())
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder))
    run(sys.executable, "-m", "pip", "wheel", *options, str(source), cwd=folder)
    return next(folder.glob("*.whl"))


def empty_environment(folder: Path) -> Path:
    """A new virtual environment that sees the libraries of this one, but not this checkout; its interpreter."""
    run(sys.executable, "-m", "venv", str(folder), cwd=folder.parent)
    python = folder / "bin" / "python"
    inner = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    # plain paths: the editable installation of this checkout, itself a .pth file, is not followed
    Path(inner, "libraries.pth").write_text("\n".join(sorted(libraries)) + "\n")
    return python


def run(*command: str | Path, cwd: Path) -> str:
    """Output of a command that has to succeed, without this checkout on Python's path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_bundle_that_was_edited_on_windows_still_works(encoding: str, tiny_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "edited"
    shutil.copytree(tiny_bundle, folder)
    for name in ("inference", "metadata"):
        path = folder / "configs" / f"{name}.json"
        path.write_bytes(path.read_text(encoding="utf-8").replace("\n", "\r\n").encode(encoding))
    assert load_bundle(folder, "cpu").labels == load_bundle(tiny_bundle, "cpu").labels
