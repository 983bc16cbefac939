"""GPUs that cannot be used, and GPUs that are full."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from monai_semgan.errors import SemganError
from monai_semgan.utils.device import device_reason, select_device
from monai_semgan.utils.gpu import FULL, cpu_copy, gpu_state, place, with_cpu_fallback

OLD_DRIVER = (
    "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver by downloading "
    "and installing a new version from the URL: http://www.nvidia.com/Download/index.aspx"
)


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    """What is known of the GPU is forgotten before and after."""
    gpu_state.cache_clear()
    yield
    gpu_state.cache_clear()


def without_gpu(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """PyTorch for CUDA on a machine where CUDA cannot start."""

    def init() -> None:
        raise RuntimeError(text)

    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", init)


def test_an_old_driver_is_told_once_in_one_line_and_the_cpu_is_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    without_gpu(monkeypatch, OLD_DRIVER)
    with caplog.at_level(logging.WARNING):
        devices = [select_device("auto") for _ in range(3)]
    assert {device.type for device in devices} == {"cpu"}
    assert caplog.messages == ["the GPU is not used: The NVIDIA driver on your system is too old (found version 11040)"]
    assert "too old (found version 11040)" in device_reason("auto", devices[0])


def test_who_asks_for_a_gpu_with_an_old_driver_hears_why_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    without_gpu(monkeypatch, OLD_DRIVER)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)  # NVML counts what CUDA cannot use
    with pytest.raises(SemganError, match="too old") as caught:
        select_device("cuda")
    assert "\n" not in str(caught.value) and "--device cpu" in str(caught.value)


@pytest.mark.parametrize("text", ["Found no NVIDIA driver on your system. Please check.", "No CUDA GPUs are available"])
def test_a_machine_without_a_gpu_needs_no_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    without_gpu(monkeypatch, text)
    with caplog.at_level(logging.WARNING):
        device = select_device("auto")
    assert device.type == "cpu" and not caplog.messages
    assert "no NVIDIA GPU" in device_reason("auto", device)


def test_a_search_for_gpus_that_fails_leaves_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> bool:
        raise OSError("libcuda.so.1: version mismatch")

    monkeypatch.setattr(torch.cuda, "is_available", broken)
    device = select_device("auto")
    assert device.type == "cpu" and "version mismatch" in device_reason("auto", device)


def test_the_reason_for_a_device_that_was_asked_for_is_that() -> None:
    assert device_reason("cpu", select_device("cpu")) == "asked for"


class Layer(torch.nn.Module):
    """A parameter that is used twice, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(3, 3)
        self.second = torch.nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.register_buffer("scale", torch.tensor(2.0))


def test_a_copy_for_the_cpu_computes_the_same_and_leaves_the_network_alone() -> None:
    network = Layer().requires_grad_(False)
    copied = cpu_copy(network)
    assert copied is not network and copied.second.weight is copied.first.weight
    assert copied.first.weight is not network.first.weight
    for (name, one), (_, other) in zip(network.state_dict().items(), copied.state_dict().items(), strict=True):
        assert torch.equal(one, other), name
    assert not any(parameter.requires_grad for parameter in copied.parameters())


def test_a_copy_for_the_cpu_takes_no_memory_of_the_device() -> None:
    network = Layer().to("meta")  # stands for a full GPU: what is copied there is not on the CPU
    kept = [parameter.device.type for parameter in network.parameters()]
    asked: list[str] = []

    class Watched(torch.Tensor):
        def cpu(self, *arguments: Any) -> torch.Tensor:  # type: ignore[override]
            asked.append("cpu")
            return torch.zeros(self.shape)

    network.scale = torch.zeros(()).as_subclass(Watched)
    network.first.weight = network.second.weight = torch.nn.Parameter(torch.zeros(3, 3).as_subclass(Watched))
    network.first.bias, network.second.bias = (
        torch.nn.Parameter(torch.zeros(3).as_subclass(Watched)) for _ in range(2)
    )
    copied = cpu_copy(network)
    assert kept and asked == ["cpu"] * 4  # each tensor once, a shared one too
    assert {parameter.device.type for parameter in copied.parameters()} == {"cpu"}


def test_what_fits_is_computed_once_and_where_the_network_is() -> None:
    network = Layer()
    assert with_cpu_fallback(network, lambda model: model is network) == (True, False)


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_what_does_not_fit_is_computed_on_the_cpu(error: RuntimeError) -> None:
    network = Layer()

    def compute(model: Layer) -> torch.Tensor:
        if model is network:
            raise error
        return model.first(torch.ones(3))

    result, full = with_cpu_fallback(network, compute)
    assert full and torch.equal(result, network.first(torch.ones(3)))


def test_other_errors_are_not_hidden_by_the_cpu() -> None:
    def compute(model: Layer) -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        with_cpu_fallback(Layer(), compute)


def test_a_model_that_does_not_fit_lies_on_the_cpu_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    network, move = Layer(), torch.nn.Module.to

    def to(self: torch.nn.Module, device: Any) -> torch.nn.Module:
        if torch.device(device).type == "cuda":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return move(self, device)

    monkeypatch.setattr(torch.nn.Module, "to", to)
    assert place(network, torch.device("cuda")) == FULL
    assert {parameter.device.type for parameter in network.parameters()} == {"cpu"}
    assert place(network, torch.device("cpu")) == ""
