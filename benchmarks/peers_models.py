"""Make what `peers.py` measures: models of other packages with random weights. Runs in the environment of the peers.

    python benchmarks/peers_models.py prepare FOLDER --data $SEMGAN_DATA/abdomen_ct --leave-out ct_00 ct_12
    python benchmarks/peers_models.py segresnet FOLDER SCAN.nii.gz LABEL.nii.gz

`prepare` has nnU-Net plan its own networks for the scans of a data set, and writes every model as its own package would
after a training. The last layer of each network prefers the background: what is written then is no noise, which would
take longer to resample and to compress than a label does. `segresnet` segments with MONAI as its whole-body CT bundle
is configured: 1.5 mm, windows of 96 voxels, an overlap of a quarter, the label inverted to the scan.

The weights of TotalSegmentator are not in its package, nor are the plans of its networks. What stands in for them is
nnU-Net's plan for the data set with the published window and spacing of the 3 mm network, and the layers that nnU-Net's
rule gives to that window: five stages, 16.6 million weights, 117 organs. The MR network is assumed to be like it.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

DATASET = "Dataset001_peers"
CONFIGURATIONS = ("2d", "3d_fullres")
TOTAL_WINDOW, TOTAL_MM = (112, 112, 128), 3.0
WINDOW, OVERLAP, MM = (96, 96, 96), 0.25, 1.5
BACKGROUND = 50.0
"""Bias of the background in the last layer; above what random features sum up to, and small enough for float16."""


def variables(folder: Path) -> dict[str, str]:
    """Variables that tell the packages where their files are; whatever would be fetched fails at once."""
    nowhere = "http://[::1]:9"
    return {
        "nnUNet_raw": str(folder / "nnunet" / "raw"),
        "nnUNet_preprocessed": str(folder / "nnunet" / "preprocessed"),
        "nnUNet_results": str(folder / "nnunet" / "results"),
        "TOTALSEG_HOME_DIR": str(folder / "totalsegmentator"),
        "TOTALSEG_WEIGHTS_PATH": str(folder / "totalsegmentator" / "results"),
        "http_proxy": nowhere,
        "https_proxy": nowhere,
        "CUDA_VISIBLE_DEVICES": "",
    }


def write_dataset(raw: Path, data: Path, leave_out: list[str], modality: str) -> dict[str, Any]:
    """Lay a data set out as nnU-Net reads it, by links, and return its description."""
    import nibabel
    import numpy as np

    folder = raw / DATASET
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    largest, count = 0, 0
    for image in sorted((data / "images").glob("*.nii.gz")):
        stem = image.name.removesuffix(".nii.gz")
        if stem in leave_out:
            continue
        label = data / "labels" / image.name
        largest = max(largest, int(np.asanyarray(nibabel.load(label).dataobj).max()))
        links = {folder / "imagesTr" / f"{stem}_0000.nii.gz": image, folder / "labelsTr" / image.name: label}
        for link, target in links.items():
            link.unlink(missing_ok=True)
            link.symlink_to(target.resolve())
        count += 1
    labels = {"background": 0} | {f"organ_{index}": index for index in range(1, largest + 1)}
    described = describe(labels, modality, count)
    (folder / "dataset.json").write_text(json.dumps(described))
    return described


def describe(labels: dict[str, int], modality: str, count: int) -> dict[str, Any]:
    """What nnU-Net calls dataset.json."""
    return {"channel_names": {"0": modality}, "labels": labels, "numTraining": count, "file_ending": ".nii.gz"}


def plan(preprocessed: Path, processes: int) -> dict[str, Any]:
    """Have nnU-Net plan the data set, as `nnUNetv2_plan_and_preprocess --no_pp` does."""
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments

    extract_fingerprints([1], num_processes=processes, show_progress_bar=False)
    plan_experiments([1])
    return json.loads((preprocessed / DATASET / "nnUNetPlans.json").read_text())


def prefer_background(layer: torch.nn.Module) -> None:
    """Let the first class win everywhere."""
    import torch

    with torch.no_grad():
        layer.bias[0] = BACKGROUND


def write_nnunet(
    folder: Path, plans: dict[str, Any], described: dict[str, Any], configuration: str, trainer: str
) -> int:
    """Write a model with random weights as nnU-Net does after a training of one fold; its number of weights."""
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager = PlansManager(plans)
    heads = manager.get_label_manager(described).num_segmentation_heads
    torch.manual_seed(0)
    network = nnUNetTrainer.build_network_architecture(
        manager, manager.get_configuration(configuration), 1, heads, enable_deep_supervision=False
    )
    for layer in network.decoder.seg_layers:
        prefer_background(layer)
    place = folder / f"{trainer}__nnUNetPlans__{configuration}"
    (place / "fold_0").mkdir(parents=True, exist_ok=True)
    (place / "plans.json").write_text(json.dumps(plans))
    (place / "dataset.json").write_text(json.dumps(described))
    checkpoint = {
        "network_weights": network.state_dict(),
        "trainer_name": trainer,
        "init_args": {"configuration": configuration},
        "inference_allowed_mirroring_axes": None,
    }
    torch.save(checkpoint, place / "fold_0" / "checkpoint_final.pth")
    return sum(one.numel() for one in network.parameters())


def plan_total(plans: dict[str, Any]) -> dict[str, Any]:
    """The plan that stands in for the one of TotalSegmentator's network of 3 mm."""
    from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props

    spacing = [TOTAL_MM] * 3
    _, strides, kernels, window, _ = get_pool_and_conv_props(spacing, TOTAL_WINDOW, 4, 999999)
    plans = copy.deepcopy(plans)
    one = plans["configurations"]["3d_fullres"]
    one |= {"spacing": spacing, "patch_size": [int(edge) for edge in window]}
    one["architecture"]["arch_kwargs"] |= {
        "n_stages": len(strides),
        "features_per_stage": [min(320, 32 * 2**stage) for stage in range(len(strides))],
        "strides": [[int(step) for step in stride] for stride in strides],
        "kernel_sizes": [[int(edge) for edge in kernel] for kernel in kernels],
        "n_conv_per_stage": [2] * len(strides),
        "n_conv_per_stage_decoder": [2] * (len(strides) - 1),
    }
    plans["configurations"] = {"3d_fullres": one}
    return plans


def write_total(home: Path, weights: Path, plans: dict[str, Any], modality: str) -> int:
    """Write the stand-in for TotalSegmentator's model, and settings that send nothing; its number of weights."""
    from totalsegmentator.map_tasks_config import TASK_CONFIGS, TASK_ID_WEIGHTS_CONFIGS
    from totalsegmentator.map_to_binary import class_map

    home.mkdir(parents=True, exist_ok=True)
    quiet = {"totalseg_id": "none", "send_usage_stats": False, "prediction_counter": 0}
    (home / "config.json").write_text(json.dumps(quiet | {"statistics_disclaimer_shown": True}))
    task = "total" if modality == "CT" else "total_mr"
    fast = TASK_CONFIGS[task]["sub_modes"]["fast"]
    labels = {"background": 0} | {name: index for index, name in class_map[task].items()}
    folder = weights / TASK_ID_WEIGHTS_CONFIGS[fast["task_id"]]["foldername"]
    return write_nnunet(folder, plan_total(plans), describe(labels, modality, 1), "3d_fullres", fast["trainer"])


def segresnet(classes: int) -> torch.nn.Module:
    """The network of MONAI's whole-body CT bundle for another number of classes."""
    from monai.networks.nets import SegResNet

    return SegResNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=classes,
        init_filters=32,
        blocks_down=(1, 2, 2, 4),
        blocks_up=(1, 1, 1),
        dropout_prob=0.2,
    )


def write_segresnet(path: Path, classes: int) -> int:
    """Write a SegResNet with random weights; their number."""
    import torch

    torch.manual_seed(0)
    network = segresnet(classes)
    prefer_background(network.conv_final[-1].conv)
    torch.save({"classes": classes, "model": network.state_dict()}, path)
    return sum(one.numel() for one in network.parameters())


def run_segresnet(weights: Path, scan: Path, label: Path) -> None:
    """Segment a scan with MONAI, file to file."""
    import torch
    from monai import transforms
    from monai.inferers import SlidingWindowInferer

    stored = torch.load(weights)
    network = segresnet(stored["classes"])
    network.load_state_dict(stored["model"])
    network.eval()
    before = transforms.Compose(
        [
            transforms.LoadImaged("image"),
            transforms.EnsureTyped("image"),
            transforms.EnsureChannelFirstd("image"),
            transforms.Orientationd("image", axcodes="RAS"),
            transforms.Spacingd("image", pixdim=(MM, MM, MM), mode="bilinear"),
            transforms.NormalizeIntensityd("image", nonzero=True),
            transforms.ScaleIntensityd("image", minv=-1.0, maxv=1.0),
        ]
    )
    after = transforms.Compose(
        [
            transforms.Activationsd("pred", softmax=True),
            transforms.AsDiscreted("pred", argmax=True),
            transforms.Invertd("pred", before, orig_keys="image", nearest_interp=True),
        ]
    )
    inferer = SlidingWindowInferer(WINDOW, sw_batch_size=1, overlap=OVERLAP, mode="gaussian", padding_mode="replicate")
    item = before({"image": str(scan)})
    with torch.inference_mode():
        item["pred"] = inferer(item["image"][None], network)[0]
    write = transforms.SaveImage(output_ext=".nii.gz", output_dtype="uint8", print_log=False)
    write(after(item)["pred"], filename=str(label.parent / label.name.removesuffix(".nii.gz")))


def prepare(arguments: argparse.Namespace) -> None:
    """Write all models, and what is known of them."""
    folder: Path = arguments.folder
    known = variables(folder.resolve())
    os.environ.update(known)
    places = {name: Path(value) for name, value in known.items()}
    described = write_dataset(places["nnUNet_raw"], arguments.data, arguments.leave_out, arguments.modality)
    plans = plan(places["nnUNet_preprocessed"], arguments.processes)
    results = places["nnUNet_results"] / DATASET
    models = {}
    for name in CONFIGURATIONS:
        found = plans["configurations"][name]
        weights = write_nnunet(results, plans, described, name, "nnUNetTrainer")
        models[f"nnU-Net {name}"] = {"weights": weights, "window": found["patch_size"], "mm": found["spacing"]}
    weights = write_total(places["TOTALSEG_HOME_DIR"], places["TOTALSEG_WEIGHTS_PATH"], plans, arguments.modality)
    models["TotalSegmentator --fast"] = {"weights": weights, "window": TOTAL_WINDOW, "mm": [TOTAL_MM] * 3}
    weights = write_segresnet(folder / "segresnet.pt", len(described["labels"]))
    models["SegResNet"] = {"weights": weights, "window": WINDOW, "mm": [MM] * 3}
    task = "total" if arguments.modality == "CT" else "total_mr"
    content = {
        "total_task": task,
        "planned_for_scans": described["numTraining"],
        "classes": len(described["labels"]),
        "models": models,
    }
    (folder / "prepared.json").write_text(json.dumps(content, indent=1) + "\n")


def main() -> None:
    """Prepare or segment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("prepare")
    making.add_argument("folder", type=Path)
    making.add_argument("--data", type=Path, required=True, help="folder with images/ and labels/")
    making.add_argument("--leave-out", nargs="*", default=[])
    making.add_argument("--modality", choices=("CT", "MR"), default="CT")
    making.add_argument("--processes", type=int, default=2)
    using = commands.add_parser("segresnet")
    using.add_argument("folder", type=Path)
    using.add_argument("scan", type=Path)
    using.add_argument("label", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "prepare":
        prepare(arguments)
    else:
        run_segresnet(arguments.folder / "segresnet.pt", arguments.scan, arguments.label)


if __name__ == "__main__":
    main()
