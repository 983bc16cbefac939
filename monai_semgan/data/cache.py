"""Keeps preprocessed volumes on disk; safe against kills, rebuilt when files or settings change."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.data import PersistentDataset
from monai.data.utils import json_hashing
from monai.transforms import Compose

from monai_semgan._version import __version__
from monai_semgan.data.datalist import Entry
from monai_semgan.errors import SemganError
from monai_semgan.io.label_names import NAMES, names_text
from monai_semgan.slicing.preprocessing import VERSION, Preprocessing
from monai_semgan.transforms.dictionary import training_transforms
from monai_semgan.utils.file_state import file_state
from monai_semgan.utils.json_text import json_text

LABELLED = "labelled"
"""Key under which an entry carries what its label knows through MONAI's data sets, as JSON."""


class VolumeCache(PersistentDataset):
    """Preprocessed volumes, each computed once.

    The key of a volume is a hash of the state of all its files (see `file_state`) and of the settings. Files
    are written beside their final place and moved there, so a kill leaves no broken one; a file that is broken all the
    same is made again, and so is every one by another version of the package, which may read files otherwise.

    Args:
        entries: volumes of a data list.
        preprocessing: settings.
        cache_dir: folder of the cache; None computes anew every time.
        transform: from files to 8-bit slices; `training_transforms` of the settings when left out.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        preprocessing: Preprocessing,
        cache_dir: str | Path | None,
        transform: Compose | None = None,
    ) -> None:
        transform = transform if transform is not None else training_transforms(preprocessing)
        settings = {"version": [__version__, VERSION], **preprocessing.to_dict(), "transforms": _described(transform)}
        items = [
            {
                **entry_item(entry),
                "files": [_fingerprint(path) for path in _files_of(entry_item(entry))],
                "settings": settings,
            }
            for entry in entries
        ]
        try:
            super().__init__(items, transform, cache_dir, hash_func=json_hashing)
        except (OSError, ValueError) as error:
            path = Path(cache_dir) if cache_dir is not None else None
            raise SemganError("the cache folder cannot be made", remedy="choose another", path=path) from error

    def missing(self) -> list[int]:
        """Numbers of the volumes that are not on disk, ascending."""
        return [number for number, item in enumerate(self.data) if not self._is_kept(item)]

    def _is_kept(self, item: dict[str, Any]) -> bool:
        path = self._path(item)
        return path is not None and path.is_file()

    def _path(self, item: dict[str, Any]) -> Path | None:
        return None if self.cache_dir is None else self.cache_dir / f"{self.hash_func(item).decode()}.pt"

    def _cachecheck(self, item_transformed: dict[str, Any]) -> dict[str, Any]:
        """As in the base class, but written on the same file system, and any broken file is replaced."""
        path = self._path(item_transformed)
        if path is None:
            return self._compute(item_transformed)
        if path.is_file():
            try:
                return torch.load(path, weights_only=True)
            except Exception:  # whatever is wrong with the file, making it again is the cure
                path.unlink(missing_ok=True)
        result = self._compute(item_transformed)
        if item_transformed["files"] == [_fingerprint(file) for file in _files_of(item_transformed)]:
            _save(result, path)  # else a file was replaced while it was waiting for its turn, or was being read
        return result

    def _compute(self, item: dict[str, Any]) -> dict[str, Any]:
        try:
            prepared = self._pre_transform(dict(item))
        except RuntimeError as error:  # MONAI wraps what a transform raises
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, SemganError):
                cause = cause.__cause__
            raise cause if cause is not None else error from None
        kept = {name: prepared[name] for name in ("image", "label", "modality", "geometry")}
        return kept | {name: prepared.get(name, []) for name in ("label_ids", "label_counts")}


def entry_item(entry: Entry) -> dict[str, str]:
    """An entry of a data list as the dictionary transforms want it."""
    named = {"image": entry.image, "label": entry.label, "modality": entry.modality, NAMES: names_text(entry.names)}
    named |= {LABELLED: json_text(entry.labelled) if entry.labelled else ""}
    return {name: str(value) for name, value in named.items() if value}


def labelled_of(item: Mapping[str, Any]) -> tuple[str, ...]:
    """What the label of an item of `entry_item` knows; empty where it knows everything."""
    told = item.get(LABELLED)
    return tuple(json.loads(told)) if isinstance(told, str) else ()


def _described(transform: Compose) -> list[list[str]]:
    """What the transforms are and how they are set; text that is the same in every process."""
    chain = transform.flatten().transforms
    return [[type(one).__qualname__, *(f"{k}={v!r}" for k, v in sorted(vars(one).items()))] for one in chain]


def _files_of(item: Mapping[str, Any]) -> list[Path]:
    return [Path(item[name]) for name in ("image", "label") if name in item]


def _fingerprint(path: Path) -> list[Any]:
    if not path.exists():
        raise SemganError("no such file", remedy="correct the data list", path=path)
    return [str(path.resolve()), file_state(path)]


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
