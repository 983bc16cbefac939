"""From the volumes of a data list to the slices of a training, through the cache and by several processes."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from monai_semgan.data.cache import VolumeCache
from monai_semgan.data.datalist import Entry
from monai_semgan.data.entries import known_classes
from monai_semgan.data.preparation_helpers import PreparationHelpers
from monai_semgan.data.slice_set import SliceSet, join_volumes, only_known
from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.slicing.geometry import SliceGeometry
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.utils.cores import usable_cores
from monai_semgan.utils.progress import NullProgress

if TYPE_CHECKING:
    from monai.transforms import Compose

    from monai_semgan.utils.progress import Progress

MESSAGE = "preparing scan"

MOST_PROCESSES = 8
"""Each holds a volume several times over, up to about 1 GB for a CT of the trunk."""

VOLUMES_EACH = 4
"""Volumes that make it worth while to start another process, which takes some seconds."""

LOOK_SECONDS = 0.1

SHOWN_IDS = 6
"""That a line of text names."""


def build_slice_set(
    entries: Sequence[Entry],
    preprocessing: Preprocessing,
    cache_dir: str | Path | None = None,
    progress: Progress | None = None,
    transform: Compose | None = None,
) -> SliceSet:
    """Read and preprocess volumes, or take them from the cache.

    Args:
        entries: volumes, labelled or not.
        preprocessing: how slices are cut and scaled.
        cache_dir: folder that keeps the slices; a volume is rebuilt when its files or the settings changed.
        progress: told after every volume.
        transform: from files to 8-bit slices, in place of the usual chain for these settings.

    Returns:
        The slices in the order of the entries, whichever process has prepared them.

    Raises:
        SemganError: a file cannot be used, or no labelled volume holds any of the classes.
        Cancelled: the user wants to stop; volumes that are prepared stay in the cache.
    """
    if not entries:
        raise SemganError("there are no volumes", remedy="fill the data list")
    cache = VolumeCache(entries, preprocessing, cache_dir, transform)
    items = prepare_all(cache, progress or NullProgress())
    images = torch.cat([item["image"] for item in items])
    labels = torch.cat([item["label"] for item in items])
    volumes = [
        (entry, item["modality"], SliceGeometry.from_dict(json.loads(item["geometry"])))
        for entry, item in zip(entries, items, strict=True)
    ]
    file_ids = sorted({index for item in items for index in item.get("label_ids", ())})
    result = replace(join_volumes(preprocessing, images, labels, volumes), file_ids=tuple(file_ids))
    result = replace(result, id_counts=tuple(dict(item.get("label_counts", ())) for item in items))
    known = known_by_volume(entries, preprocessing)
    result = replace(result, known=known, labels=only_known(result.labels, result.volume_index, known))
    if len(result.labelled_indices) and not len(result.organ_indices):
        wanted = preprocessing.class_ids
        held = some_of([index for index in file_ids if index > 0]) or "background alone"
        raise SemganError(
            f"the labels hold none of the ids of the classes ({some_of(wanted)}) but {held}",
            remedy='name the ids of the files in "labels" of the data list, or with --labels',
            path=next(entry.label for entry in entries if entry.label),
        )
    return result


def some_of(ids: Sequence[int]) -> str:
    """The first ids, for a line of text; empty where there are none."""
    shown = ", ".join(map(str, ids[:SHOWN_IDS]))
    return f"{shown} and {len(ids) - SHOWN_IDS} more" if len(ids) > SHOWN_IDS else shown


def known_by_volume(entries: Sequence[Entry], preprocessing: Preprocessing) -> torch.Tensor | None:
    """Which classes the labels of entries know: (V, K) bool, or None where all know everything.

    Raises:
        SemganError: a label knows none of the classes.
    """
    everything = (True,) * preprocessing.num_classes
    rows = [known_classes(entry, preprocessing) if entry.label is not None else everything for entry in entries]
    return None if all(map(all, rows)) else torch.tensor(rows)


def prepare_all(cache: VolumeCache, progress: Progress, helpers: int | None = None) -> list[dict[str, Any]]:
    """Prepare all volumes of a cache, by this process from the first on and by others from the last on.

    Other processes only fill the cache: what they cannot prepare, this process comes to, and tells why.

    Args:
        cache: the volumes.
        progress: told after every volume.
        helpers: other processes; as many as are worth while when left out.

    Returns:
        What the cache holds of each volume, in order.

    Raises:
        SemganError: a file cannot be used.
        Cancelled: the user wants to stop; volumes that are prepared stay in the cache.
    """
    missing = cache.missing()
    count = worthwhile_helpers(len(missing)) if helpers is None else helpers
    if cache.cache_dir is None or count < 1:
        return _by_this_process(cache, progress)
    done = len(cache) - len(missing)
    with PreparationHelpers(cache, missing, count) as others:
        progress.update(done, len(cache), MESSAGE)
        while not others.finished:
            _check_stop(progress)
            number = others.take()
            if number is None:
                time.sleep(LOOK_SECONDS)
            else:
                cache[number]
                others.done(number)
            progress.update(done + others.count, len(cache), MESSAGE)
    return [cache[number] for number in range(len(cache))]


def worthwhile_helpers(volumes: int) -> int:
    """Processes to be started beside this one for so many volumes, within the threads that the user allows."""
    cores = min(torch.get_num_threads(), usable_cores(), MOST_PROCESSES)
    return max(0, min(cores, volumes // VOLUMES_EACH) - 1)


def _by_this_process(cache: VolumeCache, progress: Progress) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for number in range(len(cache)):
        if number:
            _check_stop(progress)
        items.append(cache[number])
        progress.update(number + 1, len(cache), MESSAGE)
    return items


def _check_stop(progress: Progress) -> None:
    if progress.should_stop():
        raise Cancelled("what was prepared is kept, run again to go on")
