#!/usr/bin/env bash
# PyTorch 2.13.0: `torch.load(mmap=True)` of a weights file whose zip entries are deflated gives wrong numbers in silence.
#
# Guess before the run: refused, as a file of the format before zip is; or read without mapping.
# Seen: no error and no warning. Without `mmap` the file, which any zip tool can make of one written by `torch.save`
# (fp16 weights lose a twelfth of their size), is inflated and read right. With `mmap=True` the compressed bytes are taken
# for the tensors: shapes and types are right, every value is wrong. (Only a tensor that would reach past the end of the
# file is refused, as "Trying to resize storage that is not resizable".) Whoever packs weights tightly for a store with a
# limit of size hands out files that are right or wrong by how the reader opens them.
#
# Needs no data; installs into a temporary folder (1 GB or more); exit code 1 when the behaviour is no longer this one.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "torch==2.13.0" "numpy<3"
cd "$folder"
"$folder/venv/bin/python" -W error - <<'PY'
import zipfile

import torch

torch.manual_seed(0)
weights = {f"layer{number}.weight": torch.randn(256, 256).half() for number in range(4)}
sizes = [(128, 256), (64, 128), (16, 64), (4, 16)]
weights |= {f"head{number}.weight": torch.randn(size).half() for number, size in enumerate(sizes)}
torch.save(weights, "plain.pt")
with zipfile.ZipFile("plain.pt") as plain, zipfile.ZipFile("deflated.pt", "w") as deflated:
    for entry in plain.infolist():
        deflated.writestr(entry.filename, plain.read(entry), zipfile.ZIP_DEFLATED)

print("torch", torch.__version__)
right = {}
for name in ("plain.pt", "deflated.pt"):
    for mmap in (False, True):
        loaded = torch.load(name, weights_only=True, mmap=mmap)
        same_shapes = all(loaded[key].shape == value.shape for key, value in weights.items())
        right[name, mmap] = sum(torch.equal(loaded[key], value) for key, value in weights.items())
        print(f"{name:<12} mmap={mmap!s:<5} tensors with the right values: {right[name, mmap]} of 8, shapes right: {same_shapes}")
expected = {("plain.pt", False): 8, ("plain.pt", True): 8, ("deflated.pt", False): 8, ("deflated.pt", True): 0}
raise SystemExit(0 if right == expected else 1)
PY
echo "behaviour as described"
