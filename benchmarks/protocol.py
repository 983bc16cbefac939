"""The fixed patient splits of the studies, as MONAI data lists.

    python benchmarks/protocol.py --data $SEMGAN_DATA --out lists/

writes `ct.json` (20 training volumes in the order in which few-label studies take them, 4 for validation),
`mr_tune.json` and `mr_report.json` (volumes under `validation`; no MR trains a model whose CT-to-MR figure is given).
The folder must hold `abdomen_ct` (BTCV) and `abdomen_mr_t2` (CHAOS), each with `images` and `labels`. Where it holds
`chest_xray` (JSRT and Shenzhen) as well, `jsrt_9.json`, `jsrt_35.json` and `jsrt_175.json` (so many labelled of 175
training images, the rest unlabelled, and 72 under `test`) and `shenzhen.json` (all under `test`) are written too.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

CT_TRAINING = [
    *("27", "11", "17", "22", "05", "16", "08", "14", "23", "20"),
    *("01", "29", "06", "04", "18", "19", "09", "07", "25", "03"),
]
CT_VALIDATION = ["00", "21", "15", "12"]
MR_TUNING = ["02", "05", "08"]
MR_LABELS = {"1": "liver", "2": "right kidney", "3": "left kidney", "4": "spleen"}
"""All that the labels of CHAOS tell of: what else a model finds in its scans is not scored."""

MR_REPORT = ["15", "20", "21", "33", "37"]


JSRT_TEST = frozenset({0, 3, 7, 10, 13, 17, 20})
"""Of 24 images in the order of their names, these are for the test."""

LABELLED_RADIOGRAPHS = (9, 35, 175)
"""As in Li et al. (CVPR 2021), section 5."""


def entry(data: Path, folder: str, name: str, modality: str) -> dict[str, str]:
    """One labelled volume of a data list."""
    files = {kind: data / folder / f"{kind}s" / f"{name}.nii.gz" for kind in ("image", "label")}
    return {**{kind: str(path.resolve()) for kind, path in files.items()}, "patient": name, "modality": modality}


def data_lists(data: Path) -> dict[str, dict[str, Any]]:
    """The three data lists by name."""
    ct = {
        section: [entry(data, "abdomen_ct", f"ct_{n}", "CT") for n in names]
        for section, names in (("training", CT_TRAINING), ("validation", CT_VALIDATION))
    }
    mr = {
        f"mr_{part}": {
            "labels": MR_LABELS,
            "validation": [entry(data, "abdomen_mr_t2", f"mr_{n}", "MR") for n in names],
        }
        for part, names in (("tune", MR_TUNING), ("report", MR_REPORT))
    }
    return {"ct": ct, **mr}


def radiograph_lists(folder: Path) -> dict[str, dict[str, Any]]:
    """The data lists of the radiographs by name; the labelled ones are spread evenly over the training images."""
    found = {source: _radiographs(folder / source) for source in ("jsrt", "shenzhen")}
    test = [one for i, one in enumerate(found["jsrt"]) if i % 24 in JSRT_TEST]
    training = [one for i, one in enumerate(found["jsrt"]) if i % 24 not in JSRT_TEST]
    lists: dict[str, dict[str, Any]] = {"shenzhen": {"labels": {"1": "lungs"}, "test": found["shenzhen"]}}
    for count in LABELLED_RADIOGRAPHS:
        labelled = {i * len(training) // count for i in range(count)}
        entries = [one if i in labelled else {"image": one["image"]} for i, one in enumerate(training)]
        names = {"1": "lungs", "2": "heart"}
        lists[f"jsrt_{count}"] = {"labels": names, "training": entries, "test": test}
    return lists


def _radiographs(folder: Path) -> list[dict[str, str]]:
    """All images of a source with their labels, in the order of their names."""
    images = sorted((folder / "images").glob("*.png"))
    return [
        {"image": str(image.resolve()), "label": str((folder / "labels" / image.name).resolve())} for image in images
    ]


def main() -> None:
    """Write the lists."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = os.environ.get("SEMGAN_DATA")
    parser.add_argument("--data", type=Path, default=known, required=known is None, help="default: $SEMGAN_DATA")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    lists = data_lists(arguments.data)
    if (arguments.data / "chest_xray").is_dir():
        lists |= radiograph_lists(arguments.data / "chest_xray")
    for name, content in lists.items():
        path = arguments.out / f"{name}.json"
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
