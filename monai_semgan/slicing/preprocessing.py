"""From a volume to the slices that the networks see; the same for training and for use."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from monai_semgan.errors import SemganError
from monai_semgan.io.label_ids import mapped_ids
from monai_semgan.io.volume import Volume
from monai_semgan.modalities import CT_WINDOW, MR_PERCENTILES, PHOTOGRAPH, canonical_modality, header_modality
from monai_semgan.slicing.body import find_body
from monai_semgan.slicing.geometry import SliceGeometry
from monai_semgan.slicing.grey_values import look_at_values
from monai_semgan.slicing.padding import Padding, find_padding
from monai_semgan.slicing.planes import AUTO, AXIAL, PLANES, plane_notes
from monai_semgan.slicing.planning import body_in_view, plan_frame, plan_slices
from monai_semgan.slicing.prepared import PreparedVolume, SlicePlan
from monai_semgan.slicing.window import percentile_range, rescale
from monai_semgan.utils.settings import checked

VERSION = 2
"""Counts changes of the arithmetic, so that caches made by an older version are not used."""

CLASS_LIMIT = 255

OUTSIDE = -1.0
"""Value of pixels outside the volume."""

TRUNK_NOTE = "The slices are centred on the trunk: arms and shoulders lie outside in part, and are not labelled there."

FIELDS_OF_VIEW = ("body", "image")

COLOUR_RANGE = (0.0, 255.0)
"""Values of red, green and blue that become -1 and 1, the same for all three."""

GREY_IN_COLOUR = "The picture is grey, and this model takes colours: red, green and blue get its grey values."


@checked
@dataclass(frozen=True)
class Preprocessing:
    """How volumes become slices; part of a bundle's configuration.

    Args:
        size: height and width of a slice in pixels.
        pixel_mm: edge of a pixel; larger for bodies that do not fit.
        window: HU that become -1 and 1 in CT.
        percentiles: percentiles of the body that become -1 and 1 in MR.
        num_classes: with background.
        label_ids: ids in label files of the classes 1, 2, ...; when left out, class c has id c.
            All other ids become background.
        field_of_view: `body`: slices of volumes, centred on the body. `image`: single images such as radiographs, each
            fitted as a whole into the slice, whatever its size in mm; `pixel_mm` and `window` mean nothing there, and
            the percentiles are those of the image.
        image_channels: 1 for grey values; 3 for red, green and blue of pictures, for which 0 to 255 become -1 to 1 and
            the percentiles mean nothing.
        plane: `axial`: slices of volumes are axial, interpolated where the volume is far oblique. `stored`: volumes of
            thick slices keep these, in whatever direction they lie. It is what the model was trained on; see
            `plan_slices`.
    """

    size: int = 128
    pixel_mm: float = 2.75
    window: tuple[float, float] = CT_WINDOW
    percentiles: tuple[float, float] = MR_PERCENTILES
    num_classes: int = 5
    label_ids: tuple[int, ...] | None = None
    field_of_view: str = "body"
    image_channels: int = 1
    plane: str = AXIAL

    def __post_init__(self) -> None:
        for name in ("window", "percentiles", "label_ids"):  # JSON has lists
            value = getattr(self, name)
            object.__setattr__(self, name, tuple(value) if value is not None else None)
        if self.size < 1 or self.pixel_mm <= 0:
            raise SemganError(f"size {self.size} and pixel mm {self.pixel_mm:g} must be positive")
        if len(self.window) != 2 or self.window[0] >= self.window[1]:
            raise SemganError(f"window {self.window} is empty", remedy="give the lower and the upper value")
        if len(self.percentiles) != 2 or not 0 <= self.percentiles[0] < self.percentiles[1] <= 100:
            raise SemganError(f"percentiles {self.percentiles} are impossible", remedy="give two between 0 and 100")
        if self.field_of_view not in FIELDS_OF_VIEW:
            problem = f"unknown field of view {self.field_of_view!r}"
            raise SemganError(problem, remedy=f"use {' or '.join(FIELDS_OF_VIEW)}")
        if self.plane not in PLANES:
            raise SemganError(f"unknown plane {self.plane!r}", remedy=f"use {' or '.join(PLANES)}")
        if self.image_channels not in (1, 3) or (self.image_channels == 3 and self.field_of_view != "image"):
            problem = f"{self.image_channels} image channels with field of view {self.field_of_view!r}"
            raise SemganError(problem, remedy="use 1, or 3 for single images in colours")
        if not 2 <= self.num_classes <= CLASS_LIMIT:
            raise SemganError(f"{self.num_classes} classes are not possible", remedy=f"use 2 to {CLASS_LIMIT}")
        if self.label_ids is not None and len(self.label_ids) != self.num_classes - 1:
            raise SemganError(
                f"{len(self.label_ids)} label ids for {self.num_classes - 1} classes", remedy="give one id per class"
            )

    def in_plane(self, plane: str | None) -> Preprocessing:
        """The same for another plane, `axial` or `stored`; `auto` and None: that of the model."""
        return self if plane in (None, AUTO) or self.field_of_view == "image" else replace(self, plane=str(plane))

    def __call__(self, volume: Volume, modality: str | None = None) -> PreparedVolume:
        """Normalise a volume and cut it into slices.

        Args:
            volume: CT in HU or MR; a single image where `field_of_view` says so.
            modality: as the file tells, or guessed from the values, when left out.

        Raises:
            SemganError: a volume is given where a single image is expected, or the other way round.
        """
        plan = self.plan(volume, modality)
        low, high = plan.value_range
        channels = [
            plan.geometry.extract(array, fill=OUTSIDE, convert=lambda piece: rescale(piece, low, high))
            for array in self.channels(volume, plan)
        ]
        facts = {field.name: getattr(plan, field.name) for field in fields(plan)}
        return PreparedVolume(**facts, image=torch.stack(channels, dim=1))

    def channels(self, volume: Volume, plan: SlicePlan) -> np.ndarray:
        """What the networks see of a volume, before scaling: (C, I, J, K), as many channels as the model takes.

        Args:
            volume: planned.
            plan: of it; air stands in place of fills where there are any.
        """
        if self.image_channels == 1:
            return plan.tissue(volume.array)[None]
        if volume.colour is not None:
            return volume.colour
        return np.broadcast_to(plan.tissue(volume.array), (self.image_channels, *volume.array.shape))

    def plan(self, volume: Volume, modality: str | None = None) -> SlicePlan:
        """Look at a volume, without computing its slices; arguments and errors as above."""
        self.check_kind(volume, modality)
        if modality:
            modality = canonical_modality(modality)
        elif volume.modality:
            modality = header_modality(volume.modality)
        if self.field_of_view == "image":
            return self._plan_image(volume, self._image_modality(volume, modality))
        grey = look_at_values(volume.array, modality)
        padding = find_padding(volume.array, grey.modality, grey.hu_offset)
        array = volume.array if padding is None else padding.removed(volume.array)
        body = find_body(array, volume.spacing, grey.modality, hu_offset=grey.hu_offset)
        view = body_in_view(volume, body, self.pixel_mm, self.size, self.plane)
        place = {"pixel_mm": self.pixel_mm, "size": self.size, "plane": self.plane}
        geometry = plan_slices(volume, modality=grey.modality, body=view, **place)  # type: ignore[arg-type]
        if grey.modality == "CT":
            low, high = (value + grey.hu_offset for value in self.window)
        else:
            low, high = percentile_range(body.values(array), self.percentiles)
        notes = (*volume.notes, *grey.notes(self.window), *self._remarks(volume, geometry, padding))
        notes += (TRUNK_NOTE,) if view is not body else ()
        problem = grey.problem(self.window)
        return SlicePlan(geometry, grey.modality, (low, high), notes, modality is None, padding, problem)

    def _plan_image(self, volume: Volume, modality: str) -> SlicePlan:
        geometry = plan_frame(volume, self.size)
        if volume.colour is not None:
            return SlicePlan(geometry, modality, COLOUR_RANGE, volume.notes)
        # in a photograph a surface of one colour is seen, no fill
        padding = None if self.image_channels == 3 else find_padding(volume.array, modality)
        array = volume.array if padding is None else padding.removed(volume.array)
        notes = volume.notes if padding is None else (*volume.notes, padding.note())
        whole = percentile_range(array, self.percentiles)
        if self.image_channels == 3:
            notes = (*notes, GREY_IN_COLOUR)
            low, high = COLOUR_RANGE
            whole = COLOUR_RANGE if low <= array.min() and array.max() <= high else whole
        return SlicePlan(geometry, modality, whole, notes, padding=padding)

    def _image_modality(self, volume: Volume, modality: str | None) -> str:
        """The modality of a single image; pictures do not tell it, and data lists call them all radiographs."""
        if self.image_channels == 3 and not volume.spacing_known and modality in (None, "DX"):
            return PHOTOGRAPH
        return modality or "DX"

    def _remarks(self, volume: Volume, geometry: SliceGeometry, padding: Padding | None) -> list[str]:
        notes = [] if padding is None else [padding.note()]
        if geometry.enlarged:
            notes.append(
                f"The body does not fit into {self.size} pixels of {self.pixel_mm:g} mm: "
                f"pixels of {geometry.pixel_mm:.2f} mm are used."
            )
        return [*notes, *plane_notes(volume.affine, volume.array.shape, self.plane)]

    @property
    def images(self) -> str:
        """What single images the model is for, in a word."""
        return "radiographs" if self.image_channels == 1 else "photographs"

    def check_kind(self, volume: Volume, modality: str | None = None) -> None:
        """Make sure that a volume is of the kind that is expected.

        Raises:
            SemganError: a volume is given where a single image is expected, or the other way round.
        """
        shape = volume.array.shape
        if self.field_of_view == "image" and 1 not in shape:
            raise SemganError(
                f"is a volume of {'x'.join(map(str, shape))} voxels, this model segments single {self.images}",
                remedy="give a picture or a DICOM radiograph, or a bundle for volumes with --bundle",
                path=volume.path,
            )
        if self.field_of_view == "image" and self.image_channels == 1 and volume.colour is not None:
            raise SemganError(
                "holds colours where grey values are expected",
                remedy="export it as a grey image, or give a bundle for colours with --bundle",
                path=volume.path,
            )
        if self.field_of_view == "body" and volume.projection and (modality is None or not volume.spacing_known):
            raise SemganError(
                "is a single image, this model segments CT or MR volumes",
                remedy="give a NIfTI, NRRD or DICOM volume, or a bundle for single images with --bundle",
                path=volume.path,
            )

    @property
    def class_ids(self) -> tuple[int, ...]:
        """Ids in label files of the classes 1, 2, ..."""
        return self.label_ids or tuple(range(1, self.num_classes))

    @property
    def file_ids(self) -> dict[int, int] | None:
        """Id in label files by class; None where these are the same."""
        return None if self.label_ids is None else dict(enumerate(self.label_ids, start=1))

    def classes(self, label: np.ndarray) -> np.ndarray:
        """Turn ids of a label file into class indices 0 .. `num_classes - 1`, as uint8 of the same shape."""
        return mapped_ids(label, {index: number for number, index in enumerate(self.class_ids, start=1)})

    def label_slices(self, label: np.ndarray, geometry: SliceGeometry) -> torch.Tensor:
        """Cut a label map (I, J, K) of file ids into class slices (D, H, W) uint8.

        Every pixel gets the class that covers most of it.
        """
        classes = self.classes(label)
        best = torch.full(geometry.grid_shape[2:] + geometry.grid_shape[:2], 0.0)
        out = torch.zeros(best.shape, dtype=torch.uint8)
        for index in [0, *np.unique(classes[classes > 0])]:
            share = geometry.extract(classes, convert=lambda piece, wanted=index: piece == wanted)  # type: ignore[misc]
            wins = share > best
            best[wins] = share[wins]
            out[wins] = int(index)
        return out

    def to_dict(self) -> dict[str, Any]:
        """Settings in JSON's types; `Preprocessing(**settings)` takes them back."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
