"""MONAI Label's own `BundleTrainTask` trains every stage of a bundle as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")
stock = pytest.importorskip("monailabel.tasks.train.bundle")

pytestmark = pytest.mark.label

POOL = {"pool_chunk": 4, "pool_chunks": 2}
FAST = {"train": POOL, "train_gan": {"quality_images": 16, "joint_channels": 8}, "train_student": POOL}

LABELS = ["liver", "right kidney", "left kidney", "spleen"]


class StageConstants(stock.BundleConstants):
    """Names of the configurations of another stage than the encoder's."""

    def __init__(self, config: str) -> None:
        self.config = config

    def configs(self) -> list[str]:
        return [f"{self.config}.json"]

    def multi_gpu_configs(self) -> list[str]:
        return [f"multi_gpu_{self.config}.json"]


class Studies:
    """Labelled studies, as MONAI Label's datastore lists them."""

    def __init__(self, folder: Path) -> None:
        content = json.loads((folder / "datalist.json").read_text())
        entries = [*content["training"], *content["validation"]]
        self.entries = [{k: str(folder / e[k]) for k in ("image", "label")} for e in entries if "label" in e]

    def datalist(self) -> list[dict[str, str]]:
        return self.entries


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with tiny networks whose epochs have two steps."""
    from monai_semgan.authoring.create import create_bundle
    from monai_semgan.authoring.fill import fill_bundle

    folder = create_bundle(tmp_path_factory.mktemp("zoo") / "tiny", LABELS, pixel_mm=10.0)
    fill_bundle(folder, [tiny_bundle / "models" / "model.pt"])
    for name in FAST:
        path = folder / "configs" / f"{name}.json"
        config = json.loads(path.read_text()) | {"epoch_length": 2}
        config["settings"] |= {"batch_size": 4} | FAST[name]
        config["loop"]["validations"] = 1
        path.write_text(json.dumps(config))
    return folder


STAGES = {"train": "encoder", "train_gan": "gan", "train_student": "student"}


@pytest.mark.parametrize("config", STAGES)
def test_stock_task_runs_an_epoch_of_a_stage(bundle: Path, tmp_path: Path, config: str) -> None:
    from tests.training.phantoms import write_patients

    write_patients(tmp_path / "studies", training=3, unlabelled=0)
    constants = None if config == "train" else StageConstants(config)
    task = stock.BundleTrainTask(str(bundle), {}, const=constants)
    assert task.is_valid() and task.info()["version"] == "0.1.0"
    assert task.config()["model_filename"] == ["model.pt"] and "max_epochs" in task.config()
    request = {"model": "tiny", "device": "cpu", "max_epochs": 1, "val_split": 0.25, "tracking": "None"}
    assert task(request, Studies(tmp_path / "studies")) == {}
    record = json.loads((bundle / "runs" / STAGES[config] / "record.json").read_text())
    assert record["step"] == 2 and record["finished"]
    assert (len(record["data"]["labelled"]), len(record["data"]["validation"])) == (3, 1)
