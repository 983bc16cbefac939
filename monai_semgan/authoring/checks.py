"""Checks of a bundle's files and properties, as the model zoo describes them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from monai.bundle import ConfigWorkflow

from monai_semgan.authoring.contents import bundle_files
from monai_semgan.bundle.labels import read_json

NECESSARY = ("LICENSE", "configs/metadata.json")
PREFERRED = ("configs/inference.json", "models/model.pt")
CONVENTIONAL = ("configs/logging.conf", "docs/README.md", "docs/data_license.txt")
LIMIT_MB = 25
METADATA_KEYS = (
    "monai_version", "pytorch_version", "numpy_version", "required_packages_version", "changelog", "schema",
)  # fmt: skip
INFERENCE_KEYS = ("bundle_root", "device", "network_def", "inferer", "output_dir")
README_SECTIONS = (
    "Model Description", "Data", "Preprocessing", "Performance", "System Configuration", "Limitations", "Citation",
    "References", "Bundle Commands",
)  # fmt: skip


def files_are_there(bundle: Path) -> str:
    """Necessary, preferred and conventional files exist."""
    return ", ".join(name for name in (*NECESSARY, *PREFERRED, *CONVENTIONAL) if not (bundle / name).is_file())


def files_are_small(bundle: Path) -> str:
    """No file is larger than git takes in the zoo."""
    large = [path for path in bundle_files(bundle) if path.stat().st_size > LIMIT_MB * 1e6]
    return ", ".join(f"{path.name} has {path.stat().st_size / 1e6:.1f} MB" for path in large)


def metadata_has_keys(bundle: Path) -> str:
    """The keys that the zoo asks for."""
    return ", ".join(key for key in METADATA_KEYS if key not in read_json(bundle / "configs/metadata.json"))


def version_is_in_changelog(bundle: Path) -> str:
    """The changelog tells about this version."""
    metadata = read_json(bundle / "configs/metadata.json")
    return "" if metadata["version"] in metadata["changelog"] else f"{metadata['version']} is missing"


def inference_has_keys(bundle: Path) -> str:
    """The inference configuration has the zoo's keys."""
    return ", ".join(key for key in INFERENCE_KEYS if key not in read_json(bundle / "configs/inference.json"))


def readme_has_sections(bundle: Path) -> str:
    """The readme follows the template."""
    text = (bundle / "docs/README.md").read_text(encoding="utf-8").lower()
    titles = {line.strip("#* ") for line in text.splitlines() if line.startswith("#")}
    return ", ".join(name for name in README_SECTIONS if name.lower() not in titles)


def properties_are_there(bundle: Path) -> str:
    """Required properties of an inference bundle and of its metadata."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # MONAI warns that there is no logging file
    try:
        flow = ConfigWorkflow(
            str(bundle / "configs/inference.json"),
            workflow_type="infer",
            logging_file=False,
            init_id="none",
            bundle_root=str(bundle),
            dataset={"_target_": "Dataset", "data": [], "transform": "@preprocessing"},
            dataloader=[],
        )
        flow.initialize()
        return ", ".join(flow.check_properties() or [])
    finally:
        logging.disable(before)


def finding(check: Callable[[Path], str], bundle: Path) -> str:
    """What a check finds; whatever goes wrong in a broken bundle is a finding too."""
    try:
        return check(bundle)
    except Exception as error:  # configurations are programs: anything can go wrong in them
        return " ".join(f"{type(error).__name__}: {error}".split())[:300]


CHECKS: dict[str, Callable[[Path], str]] = {
    "files are there": files_are_there,
    f"no file above {LIMIT_MB} MB": files_are_small,
    "metadata keys": metadata_has_keys,
    "version in changelog": version_is_in_changelog,
    "inference keys": inference_has_keys,
    "readme sections": readme_has_sections,
    "properties of Infer and Meta": properties_are_there,
}
"""Name of a check to the function, which tells what is wrong, or nothing."""
