"""MONAI dictionary transforms of the bundles: a scan to slices, and results back to exactly the scan's grid."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform

from monai_semgan.data.volume import Volume, read_volume
from monai_semgan.maps import scan_maps
from monai_semgan.postprocessing import label_on_grid
from monai_semgan.transforms.geometry import SliceGeometry

if TYPE_CHECKING:
    from monai_semgan.data.preprocessing import Preprocessing

PLAN = "slice_plan"
"""Key of the meta data under which `PrepareSlicesd` notes the geometry, as JSON: text survives a data loader."""


class PrepareSlicesd(MapTransform):
    """Read scans and make the slices that the networks see.

    A path (NIfTI, NRRD, MetaImage, a DICOM file, folder or zip) or a `MetaTensor` `(1, I, J, K)` becomes a
    `MetaTensor` `(1, H, W, D)` in -1..1, with the affine of the slices. `RestoreLabeld` brings labels back.

    Args:
        keys: of the scans.
        preprocessing: how volumes become slices.
        modality: `CT` or `MR`; when left out as the entry tells under `modality`, or the file, or guessed.
        allow_missing_keys: leave out keys that are not there.
    """

    def __init__(
        self,
        keys: Any,
        preprocessing: Preprocessing,
        modality: str | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.preprocessing = preprocessing
        self.modality = modality

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace every scan by its slices.

        Raises:
            SemganError: if a scan cannot be read or used.
        """
        done = dict(data)
        for key in self.key_iterator(done):
            done[key] = self._slices(as_volume(done[key]), self.modality or done.get("modality") or None)
        return done

    def _slices(self, volume: Volume, modality: str | None) -> MetaTensor:
        prepared = self.preprocessing(volume, modality)
        meta = {
            "filename_or_obj": str(volume.path or ""),
            "modality": prepared.modality,
            "value_range": json.dumps([float(value) for value in prepared.value_range]),
            "original_affine": np.array(volume.affine),
            "spatial_shape": np.array(volume.array.shape),
            PLAN: json.dumps(prepared.geometry.to_dict()),
        }
        affine = torch.from_numpy(np.array(prepared.geometry.grid_affine, dtype=np.float64))
        return MetaTensor(prepared.image.permute(1, 2, 3, 0), affine=affine, meta=meta)


class RestoreLabeld(MapTransform):
    """Turn probabilities on the slices into label ids on exactly the scan's grid, as `semgan segment` does.

    `(K, H, W, D)`, or the inferer's dictionary that holds it under `seg`, becomes a `MetaTensor` `(1, I, J, K)` uint8.

    Args:
        keys: of the probabilities.
        labels: organ name by id.
        image_key: of the slices that `PrepareSlicesd` made.
        chosen: ids to keep; all when left out.
        cleanup: keep the largest piece of every organ and fill its holes.
        single: the scans are single images such as radiographs.
        allow_missing_keys: leave out keys that are not there.
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
    ) -> None:
        super().__init__(keys, allow_missing_keys)
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
            geometry = geometry_of(image)
            stack = torch.as_tensor(scores).permute(3, 0, 1, 2)
            options = {"cleanup": self.cleanup, "single": self.single}
            label = label_on_grid(geometry, stack, self.labels, self.chosen, **options)
            done[key] = on_scan(torch.from_numpy(label)[None], image)
        return done


class RestoreMapsd(MapTransform):
    """Bring the inferer's maps to the scan's grid, in the scan's units, as new keys.

    `uncertainty`, and after an inversion `reconstruction` and `residual`, each `(1, I, J, K)` float32. The inferer's
    dictionary stays, for `RestoreLabeld`.

    Args:
        keys: of the inferer's dictionary.
        image_key: of the slices that `PrepareSlicesd` made.
        allow_missing_keys: leave out keys that are not there.
    """

    def __init__(self, keys: Any, image_key: str = "image", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the maps."""
        done = dict(data)
        image = done[self.image_key]
        low, high = json.loads(image.meta["value_range"])
        restore = geometry_of(image).restore
        for key in self.key_iterator(done):
            names = ("uncertainty", "recon", "residual")
            found = [torch.as_tensor(done[key][name])[0].permute(2, 0, 1) for name in names if name in done[key]]
            for name, (slices, fill) in scan_maps((low, high), *found).items():
                done[name] = on_scan(torch.from_numpy(restore(slices, fill))[None], image)
        return done


def geometry_of(image: MetaTensor) -> SliceGeometry:
    """Where slices lie in their scan."""
    return SliceGeometry.from_dict(json.loads(image.meta[PLAN]))


def on_scan(array: torch.Tensor, image: MetaTensor) -> MetaTensor:
    """`(1, I, J, K)` with the affine and the file name of the scan that slices came from."""
    geometry = geometry_of(image)
    affine = torch.from_numpy(np.array(geometry.source_affine, dtype=np.float64))
    meta = {
        "filename_or_obj": image.meta.get("filename_or_obj", ""),
        "original_affine": np.array(geometry.source_affine),
        "spatial_shape": np.array(geometry.source_shape),
    }
    return MetaTensor(array, affine=affine, meta=meta)


def as_volume(scan: Any) -> Volume:
    """A volume of a path or a `MetaTensor` `(1, I, J, K)`."""
    if isinstance(scan, (str, Path)):
        return read_volume(scan)
    array = np.asarray(scan[0].detach().cpu(), dtype=np.float32)
    affine = np.asarray(getattr(scan, "affine", torch.eye(4)), dtype=np.float64)
    name = getattr(scan, "meta", {}).get("filename_or_obj")
    return Volume(array, affine, Path(name) if name else None)
