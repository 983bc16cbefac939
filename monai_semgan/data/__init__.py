"""Reading, listing, caching and writing of volumes and slices; names are loaded when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "volume": ("Volume", "read_label", "read_volume", "write_label", "write_map", "write_volume"),
    "writing": ("check_label_output",),
    "terminology": ("Segments",),
    "datalist": ("DataList", "Entry", "load_datalist"),
    "preprocessing": ("PreparedVolume", "Preprocessing"),
    "slices": ("SliceSet", "build_slice_set"),
    "sampler": ("StepSampler",),
}

__all__ = sorted(name for names in _HOMES.values() for name in names)


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
