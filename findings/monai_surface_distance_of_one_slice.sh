#!/usr/bin/env bash
# MONAI 1.6.1: surface distances and surface Dice of one image depend on whether its masks have an axis of length 1.
#
# Guess before the run: a mask `(H, W, 1)`, as a radiograph or a single slice in a NIfTI file is loaded, is measured by
# another border than the same mask `(H, W)`, so that mean distances are too small.
# Seen: so it is, and by far. The border is what erosion in three dimensions takes off; along an axis of length 1 nothing
# remains, so every pixel of the mask is border. A square of 40 pixels that is moved by 4 has an average surface distance
# of 2 as an image and of 0.25 as a volume of one slice, a 95th percentile of the Hausdorff distance of 4 and 2.05, and a
# surface Dice at a tolerance of 1 pixel of .49 and .93: a poor contour looks good. The Hausdorff distance itself and the
# Dice are the same. There is no warning. Whoever evaluates single slices and radiographs must take the axis out.
#
# Needs no data; installs into a temporary folder (1 GB or more); exit code 1 when the behaviour is no longer this one.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "monai==1.6.1" "torch==2.13.0" "scipy==1.17.1" "numpy<3"
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PY'
import monai
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice

square = torch.zeros(1, 2, 64, 64)
square[0, 1, 10:50, 10:50] = 1
moved = torch.roll(square, 4, dims=2)
for mask in (square, moved):
    mask[0, 0] = 1 - mask[0, 1]
print("MONAI", monai.__version__)
found = {}
for shape, one, two in (("(64, 64)", square, moved), ("(64, 64, 1)", square[..., None], moved[..., None])):
    found[shape] = (
        compute_average_surface_distance(one, two, symmetric=True).item(),
        compute_hausdorff_distance(one, two, percentile=95).item(),
        compute_hausdorff_distance(one, two).item(),
        compute_surface_dice(one, two, class_thresholds=[1.0]).item(),
    )
    print("{:<12} ASD {:.2f}, HD95 {:.2f}, HD {:.2f}, surface Dice {:.2f}".format(shape, *found[shape]))
flat, volume = found["(64, 64)"], found["(64, 64, 1)"]
same = flat == (2.0, 4.0, 4.0, flat[3]) and volume[0] < 0.3 and volume[1] < 2.5 and volume[2] == 4.0
raise SystemExit(0 if same and volume[3] > flat[3] + 0.4 else 1)
PY
echo "behaviour as described"
