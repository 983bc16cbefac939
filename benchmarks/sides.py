"""Would a header that swaps right and left be noticed? Out-of-domain score of every scan as stored and mirrored.

    python benchmarks/sides.py --data lists/ct.json lists/mr_tune.json

The scans are taken to be stored rightly: then the score as stored should be the lower one, clearly.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from monai_semgan.bundle.load import load_bundle
from monai_semgan.data.datalist import SECTIONS, load_datalist
from monai_semgan.inference.mirror import CLEARLY, mirror_scores
from monai_semgan.io.reading import read_volume


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--sections", nargs="+", default=["validation", "training"], choices=SECTIONS)
    parser.add_argument("--bundle", type=Path)
    arguments = parser.parse_args()
    bundle, gaps = load_bundle(arguments.bundle), []
    lists = [load_datalist(path) for path in arguments.data]
    for entry in [entry for section in arguments.sections for found in lists for entry in getattr(found, section)]:
        scores = mirror_scores(bundle, bundle.preprocessing(read_volume(entry.image), entry.modality))
        if scores is None:
            parser.error("this bundle has no out-of-domain score, or no organs that tell right from left")
        gaps.append(scores.mirrored - scores.stored)
        print(f"{entry.patient}: as stored {scores.stored:.3f}, mirrored {scores.mirrored:.3f}", flush=True)
    noticed, wronged = sum(gap > CLEARLY for gap in gaps), sum(gap < -CLEARLY for gap in gaps)
    print(f"{len(gaps)} scans: {noticed} would be noticed if mirrored, {wronged} are called mirrored")


if __name__ == "__main__":
    main()
