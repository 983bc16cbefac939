"""Seconds of reading a DICOM series, and of writing and reading its labels in every format, beside the preview's.

    python benchmarks/io.py $SEMGAN_DATA/dicom_ct/series --out io.json

All in one process, once warm, median of the repeats; `ratio` is to the preview of the same run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from monai_semgan.bundle.load import load_bundle
from monai_semgan.inference.segmentation import segment
from monai_semgan.io.reading import read_label, read_volume
from monai_semgan.io.writing import write_label
from monai_semgan.organs import Segments

READ_BACK = ("out.nii.gz", "out.seg.nrrd", "out.dcm")
OUTPUTS = ("out.nii.gz", "out.nii", "out.nrrd", "out.mha", "out.seg.nrrd", "out.dcm", "rtstruct")


def median_seconds(work: Callable[[], Any], repeats: int) -> float:
    """Median over repeats after one run to warm up."""
    work()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("series", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    bundle, volume = load_bundle(device="cpu"), read_volume(arguments.series)
    result = segment(volume, bundle)
    names = Segments(bundle.labels)
    seconds = {
        "preview": median_seconds(lambda: segment(volume, bundle), 1),
        "read": median_seconds(lambda: read_volume(arguments.series), arguments.repeats),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name in OUTPUTS:
            path = Path(folder) / name
            seconds[f"write {name}"] = median_seconds(
                lambda path=path: write_label(result.label, volume, path, names),  # type: ignore[misc]
                arguments.repeats,
            )
        for name in READ_BACK:
            path = Path(folder) / name
            seconds[f"read {name}"] = median_seconds(
                lambda path=path: read_label(path, volume, names=names.names),  # type: ignore[misc]
                arguments.repeats,
            )
    content = {
        key: {"seconds": round(value, 3), "ratio": round(value / seconds["preview"], 3)}
        for key, value in seconds.items()
    }
    print(json.dumps(content, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
