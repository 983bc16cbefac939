"""How near do generated slices come to the training slices? See `monai_semgan.evaluation.memorisation`.

python benchmarks/memorisation.py --data lists/ct.json --out memorisation.json [--samples 512] [--bundle DIR]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import torch

from monai_semgan.bundle.digest import weights_digest
from monai_semgan.bundle.load import load_bundle
from monai_semgan.data.datalist import load_datalist
from monai_semgan.data.preparation import build_slice_set
from monai_semgan.data.slice_set import SliceSet
from monai_semgan.evaluation.memorisation import check_memorisation


@torch.no_grad()
def generate(network: torch.nn.Module, samples: int, seed: int) -> torch.Tensor:
    """Untruncated samples `(n, C, H, W)`."""
    source = torch.Generator().manual_seed(seed)
    z = torch.randn(samples, network.generator.latent_dim, generator=source)  # type: ignore[union-attr,arg-type]
    device = next(network.parameters()).device
    images = [network.generator(part.to(device)).image.cpu() for part in z.split(16)]  # type: ignore[operator]
    return torch.cat(images).clamp(-1, 1)


def images(slices: SliceSet) -> torch.Tensor:
    """All slices `(n, C, H, W)` in [-1, 1]."""
    return slices.images.float() / 127.5 - 1


def main() -> None:
    """Compare and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, default=None)
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seen-validation", action="store_true", help="the generator trained on these images as well")
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    bundle = load_bundle(arguments.bundle)
    entries = load_datalist(arguments.data)
    with tempfile.TemporaryDirectory() as temporary:
        cache = arguments.cache or Path(temporary)
        seen = [*entries.training, *(entries.validation if arguments.seen_validation else ())]
        training = build_slice_set(seen, bundle.preprocessing, cache)
        unseen = build_slice_set(list(entries.validation), bundle.preprocessing, cache)
    report = check_memorisation(
        generate(bundle.network, arguments.samples, arguments.seed),
        images(training),
        torch.as_tensor(training.volume_index),
        images(unseen)[:0] if arguments.seen_validation else images(unseen),
    )
    content = {
        "summary": {name: round(value, 5) for name, value in report.summary().items()},
        "training_patients": len(training.patients),
        "samples": arguments.samples,
        "seed": arguments.seed,
        "weights": weights_digest(bundle.folder)[:12],
    }
    arguments.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
