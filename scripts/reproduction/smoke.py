"""The whole way in miniature: tiny networks, a few steps, patients made in code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .json_files import read_json, write_json
from .training_plan import Training

SMOKE: dict[str, dict[str, Any]] = {
    "slices": {"size": 32, "pixel_mm": 10.0},
    "gan": {
        "latent_dim": 16,
        "mapping_layers": 2,
        "channels": {"4": 16, "8": 16, "16": 16, "32": 8},
        "joint_channels": 8,
        "quality_images": 32,
        "batch_size": 4,
    },
    "encoder": {"channels": [8, 8, 8, 8, 8], "render_size": 0, "batch_size": 4, "pool_chunk": 8, "pool_chunks": 2},
    "student": {"channels": [8, 8, 16], "batch_size": 4, "pool_chunk": 8, "pool_chunks": 2},
}
SMOKE_STEPS = 3


def smoke_plan(plan: Sequence[Training]) -> list[Training]:
    """The same trainings with tiny networks and a few steps."""
    tiny = [{**one.settings, **SMOKE["slices"], **SMOKE[one.stage]} for one in plan]
    return [
        replace(one, settings=settings, steps=SMOKE_STEPS, budget=None, seconds=None)
        for one, settings in zip(plan, tiny, strict=True)
    ]


def make_tiny(bundle: Path) -> None:
    """Give a copy of the bundle the slices of `--smoke`."""
    for path in (bundle / "configs").glob("*.json"):
        content = read_json(path)
        if "size" in content.get("slices", {}):
            write_json(path, content | {"slices": content["slices"] | SMOKE["slices"]})


def generated_patients(folder: Path) -> Path:
    """Write three patients made in code, and their data list; once."""
    path = folder / "datalist.json"
    if path.exists():
        return path
    from tests.phantoms import grid, labels_at, patient, points_of, save_nifti

    folder.mkdir(parents=True, exist_ok=True)
    affine, shape = grid((10.0, 10.0, 25.0))
    content: dict[str, Any] = {"training": [], "validation": []}
    for number in range(3):
        files = {kind: f"{kind}_{number}.nii.gz" for kind in ("image", "label")}
        save_nifti(folder / files["image"], patient(affine, shape, seed=number).array, affine)
        save_nifti(folder / files["label"], labels_at(points_of(affine, shape)), affine)
        entry = {**files, "patient": f"generated_{number}", "modality": "CT"}
        content["training" if number < 2 else "validation"].append(entry)
    write_json(path, content)
    return path
