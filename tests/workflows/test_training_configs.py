"""The bundle's training configurations run under `monai.bundle`, on tiny phantoms."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow

from tests.conftest import REPOSITORY, SHIPPED_BUNDLE
from tests.training.phantoms import write_patients

STAGES = {"train_gan": "gan", "train": "encoder", "train_student": "student"}
POOL = {"pool_chunk": 4, "pool_chunks": 2}
SETTINGS: dict[str, dict[str, Any]] = {
    "train_gan": {"channels": {"4": 8, "8": 8, "16": 8, "32": 8}, "latent_dim": 16, "joint_channels": 8}
    | {"quality_images": 16},
    "train": {"channels": [8, 8, 8, 8, 8], **POOL},
    "train_student": {"channels": [8, 16], **POOL},
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped bundle without weights, and phantoms in its data folder."""
    folder = tmp_path_factory.mktemp("zoo") / "bundle"
    shutil.copytree(SHIPPED_BUNDLE, folder, ignore=shutil.ignore_patterns("*.pt"))
    write_patients(folder / "data")
    return folder


def overrides(config: str) -> dict[str, Any]:
    """Values that make a stage take seconds."""
    chosen = {f"settings#{name}": value for name, value in {"batch_size": 4, **SETTINGS[config]}.items()}
    slices = {"slices#size": 32, "slices#pixel_mm": 10.0, "slices#num_classes": 3}
    short = {"epoch_length": 3, "max_epochs": 1, "loop#validations": 1}
    return {**short, "device": "$torch.device('cpu')", **slices, **chosen}


def workflow(bundle: Path, config: str, tracking: str | None = None, **changes: Any) -> ConfigWorkflow:
    """The configuration, initialised."""
    path = bundle / "configs" / f"{config}.json"
    values = {"bundle_root": str(bundle), **overrides(config), **changes}
    made = ConfigWorkflow(str(path), workflow_type="train", logging_file=False, tracking=tracking, **values)
    made.initialize()
    return made


def record(bundle: Path, stage: str, run: str = "runs") -> dict[str, Any]:
    content: dict[str, Any] = json.loads((bundle / run / stage / "record.json").read_text())
    return content


def cause_of(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)


@pytest.fixture(scope="module")
def trained(bundle: Path) -> Path:
    """The bundle after its three stages."""
    for config in STAGES:
        workflow(bundle, config).run()
    return bundle


def test_three_stages_leave_what_semgan_train_leaves(trained: Path) -> None:
    for stage in STAGES.values():
        assert record(trained, stage)["step"] == 3 and record(trained, stage)["finished"]
        for name in ("checkpoint.pt", "weights.pt"):
            assert (trained / "runs" / stage / name).is_file()
    parts = {name.split(".")[0] for name in torch.load(trained / "runs" / "model.pt", weights_only=True)}
    assert parts == {"generator", "encoder", "student"}


def test_a_stage_goes_on_where_it_was_stopped(trained: Path) -> None:
    workflow(trained, "train_student", max_epochs=2).run()
    assert record(trained, "student")["step"] == 6


@pytest.mark.parametrize("config", STAGES)
def test_properties_of_a_training_workflow_are_complete(bundle: Path, config: str) -> None:
    made = workflow(bundle, config)
    assert made.check_properties() == []
    assert len(made.train_dataset_data) == 3 and len(made.val_dataset_data) == 1
    item = made.train_dataset[0]
    assert item["image"].shape[1:] == (1, 32, 32) and item["image"].dtype == torch.uint8
    assert item["label"].shape == item["image"][:, 0].shape


def test_training_and_inference_describe_the_same_network() -> None:
    configs = {name: json.loads((SHIPPED_BUNDLE / "configs" / f"{name}.json").read_text()) for name in
               ("inference", *STAGES)}  # fmt: skip
    for key in ("generator_def", "encoder_def", "student_def", "network_def", "slices"):
        assert all(config[key] == configs["inference"][key] for config in configs.values()), key


def test_bad_input_names_the_id_and_the_remedy(bundle: Path, tmp_path: Path) -> None:
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("train_gan", {"dataset_dir": str(tmp_path / "nowhere")}, "dataset_dir"),
        ("train_gan", {"settings#colour": 3}, "settings#colour"),
        ("train_gan", {"max_epochs": 0}, "max_epochs"),
        ("train_gan", {"train#dataset#data": []}, "train#dataset#data"),
        ("train", {"generator_weights": [str(tmp_path / "gone.pt")]}, "generator_weights"),
    ]
    for config, changes, named in cases:
        with pytest.raises(Exception) as caught:
            workflow(bundle, config, output_dir=str(tmp_path / "run"), **changes).run()
        message = cause_of(caught.value)
        assert named in message and "\n" not in message, message


def test_tracking_writes_metrics_that_mlflow_reads(bundle: Path, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    workflow(bundle, "train_gan", tracking="mlflow", output_dir=str(tmp_path)).run()
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlruns.db'}")
    experiment = client.get_experiment_by_name("monai_experiment")
    (run,) = client.search_runs(experiment.experiment_id)
    assert {"train_loss", "image_d", "joint_d"} <= set(run.data.metrics)
    assert len(client.get_metric_history(run.info.run_id, "train_loss")) == 3


@pytest.mark.slow
def test_two_processes_train_all_stages_with_the_overlays(bundle: Path, tmp_path: Path) -> None:
    for config, stage in STAGES.items():
        configs = [str(bundle / "configs" / name) for name in (f"{config}.json", f"multi_gpu_{config}.json")]
        options = {"bundle_root": str(bundle), "output_dir": str(tmp_path), **overrides(config)}
        del options["device"]
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        command = [*launch, "-m", "monai.bundle", "run", "--config_file", str(configs), *arguments]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]
        found = json.loads((tmp_path / stage / "record.json").read_text())
        assert found["machine"]["processes"] == 2 and found["images"] == 3 * 4 * 2
    parts = {name.split(".")[0] for name in torch.load(tmp_path / "model.pt", weights_only=True)}
    assert parts == {"generator", "encoder", "student"}


def test_overrides_of_the_networks_are_trained(bundle: Path, tmp_path: Path) -> None:
    changes = {"generator_def#latent_dim": 24, "generator_def#mapping_layers": 2, "output_dir": str(tmp_path)}
    own = {"settings#latent_dim": "@generator_def#latent_dim"}
    workflow(bundle, "train_gan", **{**changes, **own}).run()
    weights = torch.load(tmp_path / "gan" / "weights.pt", weights_only=True)
    assert weights["generator.mean_latent"].shape == (24,)
    assert {name.split(".")[2] for name in weights if name.startswith("generator.mapping_net.")} == {"0", "1"}


def test_tensorboard_files_hold_the_losses_and_the_scores(bundle: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    workflow(bundle, "train_student", output_dir=str(tmp_path), **{"loop#log_every": 2}).run()
    events = EventAccumulator(str(tmp_path / "student" / "tb"))
    events.Reload()
    names = set(events.Tags()["scalars"])
    assert "validation/dice" in names and any("loss" in name for name in names), names
