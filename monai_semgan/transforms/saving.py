"""A MONAI dictionary transform that writes labels and maps as `semgan segment` does."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import MetaTensor
from monai.transforms import SaveImaged
from monai.utils import MetaKeys

from monai_semgan.errors import SemganError
from monai_semgan.io.formats import writable_endings
from monai_semgan.io.image2d_writing import write_image2d
from monai_semgan.io.writing import write_label, write_volume
from monai_semgan.organs import Segments
from monai_semgan.transforms.scan_meta import SCAN, as_volume
from monai_semgan.utils.files import write_error

NAMING = ("data_root_dir", "separate_folder", "folder_layout", "output_name_formatter", "savepath_in_metadict")
"""Further arguments of MONAI's `SaveImaged` that mean something here."""

MEANINGLESS = {"resample": False, "print_log": False}
"""Arguments that may be given with these values, as bundles do for MONAI's `SaveImaged`."""

BYTES_ONLY = (".seg.nrrd", ".png")
"""Endings of files that hold numbers up to 255 and nothing else."""


class SaveImageOnScand(SaveImaged):
    """Write labels or maps on exactly the grid of their scan, whole files or none.

    It stands in for MONAI's `SaveImaged`, and tools that leave that one out leave this one out. NIfTI carries what the
    scan's file carries: both forms with their codes, and units. Two scans that would get one file are an error.

    Args:
        keys: of the labels or maps, `(1, I, J, K)`, or `(3, I, J, K)` in colours, as `RestoreLabeld` and `RestoreMapsd`
            make them.
        output_dir: folder.
        output_postfix: what follows the scan's name and `_`.
        output_ext: ending of the files: `.nii.gz`, `.nii`, `.nrrd`, `.mha`; for labels `.seg.nrrd`, and for those of
            single images, and colours, `.png`.
        output_dtype: stored type.
        labels: structure name by id, for formats that hold names.
        label_ids: ids of the classes 1, 2, ... in label files, which other formats get; the same when left out.
        allow_missing_keys: leave out keys that are not there.
        options: others of MONAI's `SaveImaged` that name files, such as `data_root_dir` and `separate_folder`.

    Raises:
        SemganError: the ending or an option makes no sense here.
    """

    def __init__(
        self,
        keys: Any,
        output_dir: str | Path = ".",
        output_postfix: str = "seg",
        output_ext: str = ".nii.gz",
        output_dtype: Any = np.uint8,
        labels: Mapping[int, str] | None = None,
        label_ids: Sequence[int] | None = None,
        allow_missing_keys: bool = False,
        **options: Any,
    ) -> None:
        known = {name: value for name, value in options.items() if name in NAMING}
        for name, value in options.items():
            if name not in NAMING and (name not in MEANINGLESS or value != MEANINGLESS[name]):
                remedy = f"leave it out; known are {', '.join(NAMING)}"
                raise SemganError(f"{name}: results lie on the scan's grid as they are", remedy=remedy)
        self.labels = dict(labels) if labels is not None else None
        self.ids = dict(enumerate(label_ids, start=1)) if label_ids is not None else None
        self.dtype = np.dtype(output_dtype)
        self._written: dict[Path, str] = {}
        endings = (*writable_endings(), *(BYTES_ONLY if self.dtype == np.uint8 else ()))
        ending = output_ext.lower() if output_ext.startswith(".") else f".{output_ext.lower()}"
        if ending not in endings:
            raise SemganError(f"output_ext: {output_ext!r} cannot be written", remedy=f"use {', '.join(endings)}")
        super().__init__(
            keys,
            output_dir=output_dir,
            output_postfix=output_postfix,
            output_ext=ending,
            output_dtype=output_dtype,
            allow_missing_keys=allow_missing_keys,
            **{"separate_folder": False, "print_log": False, **known},
        )

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the files; the data stay as they are.

        Raises:
            SemganError: a file cannot be written, or is that of another scan.
        """
        for key in self.key_iterator(dict(data)):
            path = self._path(data[key])
            self._write(data[key], path)
            if self.saver.savepath_in_metadict:
                data[key].meta[MetaKeys.SAVED_TO] = str(path)
        return dict(data)

    def _path(self, image: MetaTensor) -> Path:
        """Where the file goes; nobody else's."""
        layout = self.saver.folder_layout
        try:
            path = Path(layout.filename(**self.saver.fname_formatter(image.meta, self.saver)))
        except OSError as error:
            raise write_error(error, Path(getattr(layout, "output_dir", "."))) from error
        scan = str(image.meta.get(SCAN) or image.meta.get("filename_or_obj", ""))
        other = self._written.setdefault(path, scan)
        if other != scan:
            problem = f"and {other} would both be written to {path}"
            raise SemganError(problem, remedy='give their entries different "name"s', path=scan)
        return path

    def _write(self, image: MetaTensor, path: Path) -> None:
        like = as_volume(image)
        if like.colour is not None and path.suffix == ".png":
            write_image2d(like.colour, path)
        elif self.dtype == np.uint8:
            write_label(like.array, like, path, Segments(self.labels) if self.labels else None, self.ids)
        else:
            write_volume(like.array, like, path, self.dtype)
