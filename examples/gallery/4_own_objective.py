"""Plug in an objective of one's own.

An inversion searches for the latents that render a slice; the objective says how far a rendering is from it. This one
compares grey values after blurring, and is known by its name from then on: in settings, configurations and calls.
Some slices of a synthetic scan are inverted with it, and with `features`, which comes along. The picture shows the
slices, and under them what the two inversions rendered.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image

import monai_semgan as sg


@sg.register_objective("blurred")
class BlurredObjective(sg.ReconstructionObjective):
    """Mean absolute difference of grey values averaged over windows."""

    def prepare(self, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """Blur the slices `(D, C, H, W)` once."""
        return {"target": self.blur(target)}

    def __call__(
        self,
        image: torch.Tensor,
        state: dict[str, torch.Tensor],
        index: torch.Tensor,
        probabilities: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """One number for every rendered slice."""
        return (self.blur(image) - state["target"][index]).abs().mean(dim=(1, 2, 3))

    @staticmethod
    def blur(image: torch.Tensor) -> torch.Tensor:
        """Average over windows of 5 x 5 pixels."""
        return F.avg_pool2d(image.float(), 5, stride=1, padding=2)


out = Path(sys.argv[1] if len(sys.argv) > 1 else "semgan_results")
out.mkdir(exist_ok=True)
scan_file = Path(__file__).parents[2] / "slicer_extension/SemGAN/Resources/SampleData/semgan_synthetic_ct.nrrd"
scan, bundle = sg.read_volume(scan_file), sg.load_bundle()
middle = float((scan.affine @ [*(n / 2 for n in scan.array.shape), 1])[2])
part = (middle - 10, middle + 10)

rows = []
for objective in ("blurred", "features"):
    result = sg.segment(scan, bundle, "invert", objective=objective, steps=8, slice_range_mm=part)
    found = result.inversion
    best = found.curve.nan_to_num(torch.inf).amin(dim=0)  # NaN: steps that a slice did not need
    print(f"{objective:<10} objective {found.curve[0].mean():.3f} -> {best.mean():.3f}", end="   ")
    print(f"liver {result.volumes_ml['liver']:.0f} ml, residual {found.residual.mean():.3f}")
    rows.append(found.reconstruction[:, 0])

rows = [result.prepared.image[:, 0], *rows]  # each (slice, x, y)
grid = torch.cat([torch.cat([plane.T.flip(0, 1) for plane in row[::2]], dim=1) for row in rows])
picture = Image.fromarray(((grid.clamp(-1, 1) + 1) * 127.5).byte().numpy())
picture.resize((2 * picture.width, 2 * picture.height)).save(out / "scan_and_renderings.png")
