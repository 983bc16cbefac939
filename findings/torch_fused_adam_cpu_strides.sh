#!/usr/bin/env bash
# PyTorch 2.13.0: on a CPU, fused Adam pairs the wrong elements when weights and moments differ in memory layout.
#
# Guess before the run: layouts do not matter, as for Adam without `fused`; or the step is refused, as CUDA does.
# Seen: no error and no warning, but the moments are read in the order of memory, so every weight gets the update of
# another one. It needs no odd code: a network trained with `fused=True` in channels-last layout on a GPU, whose state is
# loaded into the same network in the default layout on a CPU. `load_state_dict` takes over `fused` and, on the same
# device or another, the strides of the moments. The weights get worse at every step from there on. With `fused=False`
# after loading, or the moments copied with `.contiguous()`, the steps are right.
#
# Needs no data; installs into a temporary folder (1 GB or more); exit code 1 when the behaviour is no longer this one.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "torch==2.13.0" "numpy<3"
cd "$folder"
"$folder/venv/bin/python" -W error - <<'PY'
import copy

import torch


def resumed(fused, contiguous):
    """Largest difference of weights: training goes on in its channels-last layout, and from its state in the default."""
    torch.manual_seed(0)
    first, second = torch.nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last), torch.nn.Conv2d(4, 8, 3)
    gradients = [[torch.randn(weight.shape) for weight in second.parameters()] for _ in range(2)]
    optimisers = [torch.optim.Adam(layer.parameters(), 1e-2, fused=fused) for layer in (first, second)]

    def step(layer, optimiser, gradients):
        for weight, gradient in zip(layer.parameters(), gradients):
            weight.grad = torch.empty_like(weight).copy_(gradient)
        optimiser.step()

    step(first, optimisers[0], gradients[0])
    second.load_state_dict(first.state_dict())
    optimisers[1].load_state_dict(copy.deepcopy(optimisers[0].state_dict()))
    for state in optimisers[1].state.values() if contiguous else ():
        state.update({name: value.contiguous() for name, value in state.items()})
    for layer, optimiser in zip((first, second), optimisers):
        step(layer, optimiser, gradients[1])
    return float((first.weight - second.weight).detach().abs().max())


print("torch", torch.__version__)
found = {
    "fused": resumed(True, False),
    "fused, moments made contiguous": resumed(True, True),
    "not fused": resumed(False, False),
}
for name, difference in found.items():
    print(f"{name:<32} largest difference of a weight after one step at rate 0.01: {difference:.6f}")
wrong, mended, plain = found.values()
raise SystemExit(0 if wrong > 2e-3 and mended < 1e-5 and plain < 1e-5 else 1)
PY
echo "behaviour as described"
