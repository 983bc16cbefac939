"""Mean of the weights of trainings of which one continues the other (Wortsman et al., "Model soups", ICML 2022).

    python benchmarks/average_weights.py runs/unet_contrast/student/weights.pt runs/student/student/weights.pt \\
        --out mean.pt

The shipped student is the mean of the student before and after it saw generated pairs: see docs/results.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from monai_semgan.networks.weights import load_weights, save_weights


def main() -> None:
    """Average and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    states = [load_weights(path) for path in arguments.weights]
    save_weights(arguments.out, {name: sum(s[name] for s in states) / len(states) for name in states[0]})  # type: ignore[misc]


if __name__ == "__main__":
    main()
