#!/usr/bin/env bash
# torch 2.13.0, pytorch-ignite 0.5.5: a process group outlives destroy_process_group() where a module was imported after it was made.
#
# Guess before the run: the threads that stayed in our trainings are left by destroy_process_group() whatever was
# imported, or by a second group of our own; who imports what first does not matter.
# Seen: it is the import alone. Ten functions of `torch.distributed.nn.functional`, and `_broadcast_object` of
# `torch.distributed.optim.zero_redundancy_optimizer`, have `group=group.WORLD` as default, which Python evaluates
# once, when the module is imported. Imported before `init_process_group` the default is None, and all is well.
# Imported after it the default is the group itself, for ever: after destroy_process_group() its threads go on
# (gloo_tcp_loop, pt_gloo_runloop, pt_tcpstore_uv); `all_reduce` of that module without a group still works, where it
# should say that there is none; and after the next `init_process_group` it goes on with the old group, not the new one.
# In a training by several processes one in ten under load aborted at its exit, with such threads running.
# Nobody needs to name these modules: `import ignite` brings them (through its handlers: torch.distributed.optim), so
# `import monai` does where ignite is installed, and does not where it is not; `import torch._dynamo` brings the first.
# Cure: import ignite, monai or torch.distributed.optim before the group is made.
# Known? Not found among the threads of pytorch/pytorch. 190489 and 179291 there tell of aborts at exit with groups
# that were not destroyed, and 48767 is where group.WORLD became a group, and None before there is one.
#
# Needs Linux and no data; installs into a temporary folder (1 GB or more); exit code 1 when the behaviour is no longer
# this one.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "torch==2.13.0" "monai==1.6.1" "numpy<3"
cd "$folder"
cat > group.py <<'PY'
"""Start a group, destroy it, and tell whose functions hold it and which threads go on: group.py BEFORE AFTER."""

import gc
import importlib
import os
import sys
import time
import types

import torch
import torch.distributed as dist


def threads():
    names = []
    for thread in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{thread}/comm") as file:
            names.append(file.read().strip())
    return sorted({name for name in names if name.startswith(("gloo", "pt_gloo", "pt_tcpstore"))})


def holders(group):
    found = {}
    for function in gc.get_objects():
        if isinstance(function, types.FunctionType):
            defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
            if any(value is group for value in defaults):
                found.setdefault(function.__module__, []).append(function.__qualname__)
    return found


def start():
    dist.init_process_group("gloo", store=dist.TCPStore("127.0.0.1", 0, 1, True), rank=0, world_size=1)


def without_a_group():
    try:
        sys.modules["torch.distributed.nn.functional"].all_reduce(torch.ones(1, requires_grad=True))
    except ValueError:
        return "refused"
    return "works"


before, after = (name for name in sys.argv[1:])
if before != "nothing":
    importlib.import_module(before)
start()
if after != "nothing":
    importlib.import_module(after)
held = {module: len(names) for module, names in holders(dist.group.WORLD).items()}
dist.destroy_process_group()
gc.collect()
time.sleep(1)
print("{} before, {} after: held by {}, threads {}".format(before, after, held or "nobody", threads() or "none"), end="")
if "torch.distributed.nn.functional" in sys.modules:
    from torch.distributed.nn.functional import all_reduce

    print(", all_reduce", without_a_group(), end="")
    start()
    old = all_reduce.__defaults__[-1]
    print(", in the next group its own is", "the old one" if old not in (None, dist.group.WORLD) else "the new one", end="")
    dist.destroy_process_group()
print(flush=True)
PY
run() {
    "$folder/venv/bin/python" -W ignore group.py "$@" | tee -a seen.txt
}
expect() {
    tail -n 1 seen.txt | grep -q -- "$1" || { echo "no longer so"; exit 1; }
}
functional=torch.distributed.nn.functional
run nothing nothing
expect "nobody, threads none"
run "$functional" nothing
expect "nobody, threads none, all_reduce refused, in the next group its own is the new one"
run nothing "$functional"
expect "functional': 10}, threads .*gloo.*, all_reduce works, in the next group its own is the old one"
run nothing torch.distributed.optim
expect "zero_redundancy_optimizer': 1.*threads .*gloo.*all_reduce works"
run nothing torch._dynamo
expect "functional': 10}, threads .*gloo.*all_reduce works"
run nothing monai
expect "nobody, threads none"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "pytorch-ignite==0.5.5"
run nothing ignite
expect "zero_redundancy_optimizer': 1.*threads .*gloo.*all_reduce works"
run nothing monai
expect "zero_redundancy_optimizer': 1.*threads .*gloo.*all_reduce works"
run monai nothing
expect "nobody, threads none"
"$folder/venv/bin/python" -c "import ignite, monai, torch; print('torch', torch.__version__, 'ignite', ignite.__version__, 'MONAI', monai.__version__)"
echo "behaviour as described"
