"""Weights survive bad luck and refuse bad files with one readable line."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch

from monai_semgan.errors import SemganError
from monai_semgan.networks import weights


def test_half_precision_round_trip(tmp_path: Path) -> None:
    state = {"a": torch.randn(3, 3), "steps": torch.tensor(7)}
    weights.save_weights(tmp_path / "w.pt", state)
    loaded = weights.load_weights(tmp_path / "w.pt")
    assert loaded["a"].dtype == torch.float32 and torch.allclose(loaded["a"], state["a"], atol=1e-2)
    assert loaded["steps"] == 7


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.pt"
    weights.save_weights(path, {"a": torch.ones(2)})

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full_disk)
    with pytest.raises(SemganError, match="disk is full"):
        weights.save_weights(path, {"a": torch.zeros(2)})
    assert torch.equal(weights.load_weights(path)["a"], torch.ones(2))
    assert [p.name for p in tmp_path.iterdir()] == ["w.pt"]


def test_a_model_file_is_packed_and_still_read_by_torch_alone(tmp_path: Path) -> None:
    state = {f"layer.{i}.weight": torch.full((3,), float(i)) for i in range(50)}
    weights.save_weights(tmp_path / "packed.pt", state)
    torch.save({k: v.half() for k, v in state.items()}, tmp_path / "plain.pt")
    assert (tmp_path / "packed.pt").stat().st_size < (tmp_path / "plain.pt").stat().st_size
    for mmap in (False, True):
        loaded = torch.load(tmp_path / "packed.pt", weights_only=True, mmap=mmap)
        assert all(torch.equal(loaded[k].float(), v) for k, v in state.items())


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SemganError, match=r"nowhere\.pt: no such weights file"):
        weights.load_weights(tmp_path / "nowhere.pt")


@pytest.mark.parametrize("keep", [0, 10, 500])
def test_truncated_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "w.pt"
    weights.save_weights(path, {"a": torch.randn(64, 64)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(SemganError, match="not a readable weights file"):
        weights.load_weights(path)


def test_a_pickled_object_is_never_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]

    path = tmp_path / "evil.pt"
    torch.save({"a": Evil()}, path)
    with pytest.raises(SemganError):
        weights.load_weights(path)
    assert not (tmp_path / "ran").exists()


def test_weights_of_another_architecture_name_the_first_misfit() -> None:
    with pytest.raises(SemganError, match=r"weight is \(3, 2\), not \(4, 2\)"):
        weights.load_into(torch.nn.Linear(2, 4), torch.nn.Linear(2, 3).state_dict())
    with pytest.raises(SemganError, match="lacks bias"):
        weights.load_into(torch.nn.Linear(2, 4), {"weight": torch.zeros(4, 2)})
