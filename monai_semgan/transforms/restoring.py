"""MONAI dictionary transforms that bring labels and maps from the slices back to exactly the scan's grid."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform

from monai_semgan.io.volume import COLOURS
from monai_semgan.slicing.postprocessing import label_on_grid
from monai_semgan.slicing.scan_maps import scan_maps
from monai_semgan.transforms.dictionary import RANGE
from monai_semgan.transforms.scan_meta import HEADER, NAME, OTHER_AFFINES, SCAN, affine_tensor, geometry_of


class RestoreLabeld(MapTransform):
    """Turn probabilities on the slices into label ids on exactly the scan's grid, as `semgan segment` does.

    `(K, H, W, D)`, or the inferer's dictionary that holds it under `seg`, becomes a `MetaTensor` `(1, I, J, K)` uint8.
    It is the inverse of `ExtractSlicesd` with the best class taken piece by piece: probabilities of all classes on the
    scan's grid would take gigabytes.

    Args:
        keys: of the probabilities.
        labels: organ name by id.
        image_key: of the slices that `ExtractSlicesd` made.
        chosen: ids to keep; all when left out.
        cleanup: keep the largest piece of every organ and fill its holes.
        single: the scans are single images such as radiographs.
        allow_missing_keys: leave out keys that are not there.
        added: how many of the last classes were added to the model by each head, see `label_on_grid`.
    """

    def __init__(
        self,
        keys: Any,
        labels: Mapping[int, str],
        image_key: str = "image",
        chosen: Sequence[int] | None = None,
        cleanup: bool = True,
        single: bool = False,
        allow_missing_keys: bool = False,
        added: Sequence[int] = (),
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.added = tuple(added)
        self.image_key = image_key
        self.labels = dict(labels)
        self.chosen = chosen
        self.cleanup = cleanup
        self.single = single

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace probabilities by labels."""
        done = dict(data)
        image = done[self.image_key]
        for key in self.key_iterator(done):
            scores = done[key]["seg"] if isinstance(done[key], Mapping) else done[key]
            stack = torch.as_tensor(scores).permute(3, 0, 1, 2)
            options: dict[str, Any] = {"cleanup": self.cleanup, "single": self.single, "added": self.added}
            label = label_on_grid(geometry_of(image), stack, self.labels, self.chosen, **options)
            done[key] = on_scan(torch.from_numpy(label)[None], image, done.get(NAME))
        return done


class RestoreMapsd(MapTransform):
    """Bring the inferer's maps to the scan's grid, in the scan's units, as new keys.

    `uncertainty`, and after an inversion `reconstruction` and `residual`, each `(1, I, J, K)` float32; what was
    rendered in colours `(3, I, J, K)` uint8. The inferer's dictionary stays, for `RestoreLabeld`.

    Args:
        keys: of the inferer's dictionary.
        image_key: of the slices that `ExtractSlicesd` made.
        allow_missing_keys: leave out keys that are not there.
    """

    def __init__(self, keys: Any, image_key: str = "image", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the maps."""
        done = dict(data)
        image = done[self.image_key]
        low, high = json.loads(image.meta[RANGE])
        restore = geometry_of(image).restore
        for key in self.key_iterator(done):
            names = ("uncertainty", "recon", "residual")
            found = [torch.as_tensor(done[key][name])[0].permute(2, 0, 1) for name in names if name in done[key]]
            for name, (slices, fill) in scan_maps((low, high), *found).items():
                done[name] = on_scan(torch.from_numpy(restore(slices, fill))[None], image, done.get(NAME))
            rendered = done[key].get("recon")
            if rendered is not None and len(rendered) == COLOURS:
                scaled = (torch.as_tensor(rendered).permute(3, 0, 1, 2).clamp(-1, 1) + 1) * 127.5
                colours = torch.from_numpy(restore(scaled)).round().clamp(0, 255).to(torch.uint8)
                done["reconstruction"] = on_scan(colours, image, done.get(NAME))
        return done


def on_scan(array: torch.Tensor, image: MetaTensor, name: str | None = None) -> MetaTensor:
    """`(1, I, J, K)` with the affine of the scan that slices came from, and what is known about its file.

    Args:
        array: on the scan's grid.
        image: the slices.
        name: of the scan among all of its run. MONAI's writers name files by the file of the scan, which scans in
            several folders may share; they are told a file of this name in its place.
    """
    geometry, meta = geometry_of(image), image.meta
    scan = str(meta.get("filename_or_obj", ""))
    kept = {
        "filename_or_obj": str(Path(scan).with_name(f"{name}.nii.gz")) if name and scan else scan,
        "original_affine": np.array(geometry.source_affine),
        "spatial_shape": np.array(geometry.source_shape),
        SCAN: scan,
        **{key: meta[key] for key in (HEADER, OTHER_AFFINES, "spacing_known") if key in meta},
    }
    return MetaTensor(array, affine=affine_tensor(geometry.source_affine), meta=kept)
