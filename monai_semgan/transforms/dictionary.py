"""MONAI dictionary transforms from a scan to the slices that the networks see; the bundles' configurations name them.

`LoadVolumed`, `PlanSlicesd`, `NormaliseIntensityd` and `ExtractSlicesd` do one after the other what `Preprocessing`
does to a volume at once, with the same result in every pixel. `RestoreLabeld` brings labels back to the scan.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, InvertibleTransform, MapTransform

from monai_semgan.io.label_names import NAMES, names_from
from monai_semgan.io.organ_folder import read_organ_folder
from monai_semgan.io.reading import ANY_ID, read_label, read_volume
from monai_semgan.losses.label_losses import UNLABELLED
from monai_semgan.slicing.encoding import encode
from monai_semgan.slicing.geometry import SliceGeometry
from monai_semgan.slicing.preprocessing import OUTSIDE
from monai_semgan.slicing.window import rescale
from monai_semgan.transforms.scan_meta import (
    NOTES,
    PLAN,
    affine_tensor,
    as_volume,
    geometry_of,
    in_place_of,
    scan_tensor,
)

if TYPE_CHECKING:
    from monai_semgan.slicing.preprocessing import Preprocessing

RANGE = "value_range"
"""Key of the meta data with the values that become -1 and 1, as JSON."""


class LoadVolumed(MapTransform):
    """Read scans (NIfTI, NRRD, MetaImage, a DICOM file, folder or zip, a picture) as `MetaTensor` `(C, I, J, K)`.

    There is one channel, or red, green and blue of a picture in colours. Values stay as they are in the file: HU in CT.
    A tensor that is loaded already is taken over.

    The keys are those of the scans; arguments as for MONAI's `MapTransform`.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace every path by its scan.

        Raises:
            SemganError: if a scan cannot be read.
        """
        done = dict(data)
        for key in self.key_iterator(done):
            if isinstance(done[key], (str, Path)):
                done[key] = scan_tensor(read_volume(done[key]))
            elif not isinstance(done[key], MetaTensor):
                done[key] = MetaTensor(torch.as_tensor(done[key]))
        return done


class LoadLabeld(MapTransform):
    """Read label files that belong to a scan as `MetaTensor` `(1, I, J, K)` of the file's ids, uint8 or int32.

    A folder holds one file per organ, called as the entry of the data list tells under `label_names`. Named segments
    (DICOM SEG, `.seg.nrrd`) get the ids that it tells there.

    Args:
        keys: of the labels.
        image_key: of the scan, loaded; the grids have to agree.
        allow_missing_keys: leave out keys that are not there.
    """

    def __init__(self, keys: Any, image_key: str = "image", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace every path by its label.

        Raises:
            SemganError: if a label cannot be read or lies on another grid.
        """
        done = dict(data)
        for key in self.key_iterator(done):
            names, scan = names_from(done.get(NAMES)), as_volume(done[self.image_key])
            if Path(done[key]).is_dir():
                done[key] = scan_tensor(read_organ_folder(Path(done[key]), names, scan))
            else:
                done[key] = scan_tensor(read_label(done[key], scan, ANY_ID, names))
        return done


class PlanSlicesd(MapTransform):
    """Find modality and body, and note in the meta data how a scan is normalised and where its slices lie.

    Slices are axial in the patient's coordinates, whatever the order and direction in which the scan is stored, or the
    thick ones of the scan where the bundle has been trained on such (`slices#plane`). They have the bundle's pixel
    spacing, and are centred on the body. Voxels stay as they are, but for constant fills at the border, which become
    air.

    Args:
        keys: of the scans.
        preprocessing: how volumes become slices.
        modality: `CT`, `MR` or `DX`; when left out as the entry tells under `modality`, or the file, or guessed.
        allow_missing_keys: leave out keys that are not there.
        plane: `axial` or `stored`, in place of that of the bundle.
    """

    def __init__(
        self,
        keys: Any,
        preprocessing: Preprocessing,
        modality: str | None = None,
        allow_missing_keys: bool = False,
        plane: str | None = None,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.preprocessing = preprocessing.in_plane(plane)
        self.modality = modality

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add to the scans' meta data.

        Raises:
            SemganError: if a scan is not of the kind that the bundle expects.
        """
        done = dict(data)
        for key in self.key_iterator(done):
            volume = as_volume(done[key])
            plan = self.preprocessing.plan(volume, self.modality or done.get("modality") or None)
            channels = torch.as_tensor(self.preprocessing.channels(volume, plan))
            scan = in_place_of(done[key], channels, done[key].affine)
            scan.meta["modality"] = plan.modality
            scan.meta[NOTES] = json.dumps(plan.notes)
            scan.meta[RANGE] = json.dumps([float(value) for value in plan.value_range])
            scan.meta[PLAN] = json.dumps(plan.geometry.to_dict())
            done[key] = scan
        return done


class NormaliseIntensityd(MapTransform, InvertibleTransform):
    """Scale a planned scan to -1..1: by the window in CT, by percentiles of the body in MR; clip what lies outside.

    The inverse scales -1..1 back to the scan's values.

    The keys are those of the scans; arguments as for MONAI's `MapTransform`.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace the scans by float32 ones."""
        done = dict(data)
        for key in self.key_iterator(done):
            scan = done[key]
            scaled = rescale(scan.as_tensor().cpu().numpy(), *json.loads(scan.meta[RANGE]))
            done[key] = in_place_of(scan, torch.from_numpy(scaled), scan.affine)
            self.push_transform(done[key], extra_info={RANGE: scan.meta[RANGE]})
        return done

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Undo `__call__`, but for the clipping."""
        done = dict(data)
        for key in self.key_iterator(done):
            low, high = json.loads(self.pop_transform(done[key])["extra_info"][RANGE])
            done[key] = (done[key] + 1.0) * ((high - low) / 2.0) + low
        return done


class ExtractSlicesd(MapTransform, InvertibleTransform):
    """Cut a planned scan `(C, I, J, K)` into its slices `(C, H, W, D)`: reoriented, and resampled in plane.

    The inverse brings maps on the slices, `(C, H, W, D)`, to exactly the scan's grid by linear interpolation.

    The keys are those of the scans; arguments as for MONAI's `MapTransform`.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace the scans by their slices."""
        done = dict(data)
        for key in self.key_iterator(done):
            scan, geometry = done[key], geometry_of(done[key])
            channels = [geometry.extract(array, fill=OUTSIDE) for array in scan.as_tensor().cpu().numpy()]
            slices = torch.stack(channels).permute(0, 2, 3, 1)
            done[key] = in_place_of(scan, slices, affine_tensor(geometry.grid_affine))
            self.push_transform(done[key], extra_info={PLAN: scan.meta[PLAN]})
        return done

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Bring maps back to the scan's grid; voxels outside the slices become -1."""
        done = dict(data)
        for key in self.key_iterator(done):
            slices = done[key]
            geometry = SliceGeometry.from_dict(json.loads(self.pop_transform(slices)["extra_info"][PLAN]))
            restored = geometry.restore(slices.as_tensor().permute(3, 0, 1, 2), OUTSIDE)
            done[key] = in_place_of(slices, torch.from_numpy(restored), affine_tensor(geometry.source_affine))
        return done


class ExtractLabelSlicesd(MapTransform):
    """Cut labels `(1, I, J, K)` of file ids into slices `(1, H, W, D)` of classes, each pixel with its largest class.

    The ids that a file holds are kept under the key `label_ids` (after the label's own key), and how many voxels have
    each under `label_counts`.

    Args:
        keys: of the labels.
        preprocessing: tells what the ids of label files mean.
        image_key: of the scan that they belong to, planned or cut.
        allow_missing_keys: leave out keys that are not there.
    """

    def __init__(
        self, keys: Any, preprocessing: Preprocessing, image_key: str = "image", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.preprocessing = preprocessing
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace the labels by their slices."""
        done = dict(data)
        for key in self.key_iterator(done):
            geometry, label = geometry_of(done[self.image_key]), as_volume(done[key]).array
            ids, counts = (found.tolist() for found in np.unique(label, return_counts=True))
            done |= {f"{key}_ids": ids, f"{key}_counts": list(zip(ids, counts, strict=True))}
            slices = self.preprocessing.label_slices(label, geometry)
            done[key] = in_place_of(done[key], slices.permute(1, 2, 0)[None], affine_tensor(geometry.grid_affine))
        return done


class EncodeSlicesd(MapTransform):
    """Slices as training keeps them in memory: slice by slice, 8 bits per pixel, as plain tensors.

    The image becomes `(D, C, H, W)` uint8, the label `(D, H, W)` uint8, `UNLABELLED` where there is none; `modality`
    and `geometry` (JSON) are taken from the meta data.

    Args:
        keys: of the image.
        label_key: of the label.
    """

    def __init__(self, keys: Any = "image", label_key: str = "label") -> None:
        super().__init__(keys)
        self.label_key = label_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace image and label."""
        done = dict(data)
        for key in self.key_iterator(done):
            image: MetaTensor = done[key]
            done[key] = encode(image.as_tensor().permute(3, 0, 1, 2).contiguous())
            if self.label_key in done:
                done[self.label_key] = done[self.label_key].as_tensor()[0].permute(2, 0, 1).contiguous()
            else:
                done[self.label_key] = torch.full(done[key][:, 0].shape, UNLABELLED, dtype=torch.uint8)
            done |= {"modality": image.meta["modality"], "geometry": image.meta[PLAN]}
        return done


def training_transforms(preprocessing: Preprocessing) -> Compose:
    """From an entry of a data list to 8-bit slices, as the training configurations of the bundles have it."""
    return Compose(
        [
            LoadVolumed("image"),
            LoadLabeld("label", allow_missing_keys=True),
            PlanSlicesd("image", preprocessing),
            NormaliseIntensityd("image"),
            ExtractSlicesd("image"),
            ExtractLabelSlicesd("label", preprocessing, allow_missing_keys=True),
            EncodeSlicesd("image"),
        ]
    )
