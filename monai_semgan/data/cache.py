"""Keeps preprocessed volumes on disk; safe against kills, rebuilt when files or settings change."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from monai.data import PersistentDataset
from monai.data.utils import json_hashing
from monai.transforms import Transform

from monai_semgan.data.datalist import Entry
from monai_semgan.data.preprocessing import VERSION, Preprocessing
from monai_semgan.data.slices import UNLABELLED, encode
from monai_semgan.data.volume import read_label, read_volume
from monai_semgan.errors import SemganError


class PrepareVolume(Transform):
    """One entry of a data list to 8-bit slices.

    Args:
        preprocessing: how slices are cut and scaled.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        """Returns image (D, 1, H, W) uint8, label (D, H, W) uint8, modality and geometry (JSON)."""
        volume = read_volume(item["image"])
        prepared = self.preprocessing(volume, item["modality"])
        if item["label"]:
            label = self.preprocessing.label_slices(read_label(item["label"], volume).array, prepared.geometry)
        else:
            label = torch.full(prepared.image[:, 0].shape, UNLABELLED, dtype=torch.uint8)
        return {
            "image": encode(prepared.image),
            "label": label,
            "modality": prepared.modality,
            "geometry": json.dumps(prepared.geometry.to_dict()),
        }


class VolumeCache(PersistentDataset):
    """Preprocessed volumes, each computed once.

    The key of a volume is a hash of the names, sizes and modification times of its files and of the settings. Files
    are written beside their final place and moved there, so a kill leaves no broken one; a file that is broken all the
    same is made again.

    Args:
        entries: volumes of a data list.
        preprocessing: settings.
        cache_dir: folder of the cache; None computes anew every time.
    """

    def __init__(self, entries: Sequence[Entry], preprocessing: Preprocessing, cache_dir: str | Path | None) -> None:
        settings = {"version": VERSION, **preprocessing.to_dict()}
        items = [
            {
                "image": str(entry.image),
                "label": str(entry.label) if entry.label else None,
                "modality": entry.modality,
                "files": [_fingerprint(path) for path in (entry.image, entry.label) if path],
                "settings": settings,
            }
            for entry in entries
        ]
        try:
            super().__init__(items, PrepareVolume(preprocessing), cache_dir, hash_func=json_hashing)
        except (OSError, ValueError) as error:
            path = Path(cache_dir) if cache_dir is not None else None
            raise SemganError("the cache folder cannot be made", remedy="choose another", path=path) from error

    def _cachecheck(self, item_transformed: dict[str, Any]) -> dict[str, Any]:
        """As in the base class, but written on the same file system, and any broken file is replaced."""
        if self.cache_dir is None:
            return self._compute(item_transformed)
        path = self.cache_dir / f"{self.hash_func(item_transformed).decode()}.pt"
        if path.is_file():
            try:
                return torch.load(path, weights_only=True)
            except Exception:  # whatever is wrong with the file, making it again is the cure
                path.unlink(missing_ok=True)
        result = self._compute(item_transformed)
        _save(result, path)
        return result

    def _compute(self, item: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._pre_transform(dict(item))
        except RuntimeError as error:  # MONAI wraps what a transform raises
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, SemganError):
                cause = cause.__cause__
            raise cause if cause is not None else error from None


def _fingerprint(path: Path) -> list[Any]:
    try:
        status = os.stat(path)
    except OSError as error:
        raise SemganError("no such file", remedy="correct the data list", path=path) from error
    return [str(Path(path).resolve()), status.st_size, status.st_mtime_ns]


def _save(result: dict[str, Any], path: Path) -> None:
    """A cache that cannot be written costs time at the next start, not this run."""
    temporary = path.with_name(f".{secrets.token_hex(4)}.part")
    try:
        torch.save(result, temporary)
        os.replace(temporary, path)
    except (OSError, RuntimeError):
        pass
    finally:
        temporary.unlink(missing_ok=True)
