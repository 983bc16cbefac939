"""The device that a user asks for, and batches that fit into its memory."""

from __future__ import annotations

import platform
import weakref
from collections.abc import Callable, Iterator

import pytest
import torch

from monai_semgan.errors import SemganError
from monai_semgan.utils import device as device_module
from monai_semgan.utils.device import autocast, bfloat16_reason, fast_bfloat16, halving_batches, select_device

CPU = torch.device("cpu")
Processor = Callable[..., None]


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Processor]:
    """Make PyTorch see another processor; a measurement that was not announced fails."""

    def unexpected() -> float:
        raise AssertionError("measured")

    def imitate(*probes: str, machine: str = "x86_64", limits: str = "", ratio: float | None = None) -> None:
        for name in device_module.PROCESSOR_PROBES.values():
            monkeypatch.setattr(torch.cpu, name, lambda name=name: name in probes, raising=False)
        for name in device_module.ISA_LIMITS:
            monkeypatch.delenv(name, raising=False)
        if limits:
            monkeypatch.setenv(limits, "AVX2")
        monkeypatch.setattr(platform, "machine", lambda: machine)
        monkeypatch.setattr(device_module, "_measured_ratio", unexpected if ratio is None else lambda: ratio)
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)

    device_module._processor_bfloat16.cache_clear()
    yield imitate
    device_module._processor_bfloat16.cache_clear()


@pytest.mark.parametrize(
    ("probe", "name"), [("_is_amx_tile_supported", "AMX"), ("_is_avx512_bf16_supported", "AVX512-BF16")]
)
def test_a_processor_that_multiplies_bfloat16_uses_it_without_a_measurement(
    processor: Processor, probe: str, name: str
) -> None:
    processor(probe)
    assert fast_bfloat16(CPU)
    assert name in bfloat16_reason(CPU)


@pytest.mark.parametrize("machine", ["x86_64", "AMD64"])
def test_a_processor_that_would_emulate_bfloat16_is_not_even_tried(processor: Processor, machine: str) -> None:
    processor(machine=machine)
    assert not fast_bfloat16(CPU)
    assert bfloat16_reason(CPU).startswith("float32")


@pytest.mark.parametrize(("ratio", "fast"), [(0.5, True), (0.95, False), (60.0, False)])
@pytest.mark.parametrize("how", [{"machine": "aarch64"}, {"limits": "ONEDNN_MAX_CPU_ISA"}])
def test_where_the_processor_does_not_tell_a_measurement_decides(
    processor: Processor, how: dict[str, str], ratio: float, fast: bool
) -> None:
    processor("_is_avx512_bf16_supported" if "limits" in how else "", **how, ratio=ratio)
    assert fast_bfloat16(CPU) is fast
    assert f"{ratio:.2f}" in bfloat16_reason(CPU)


def test_without_onednn_bfloat16_is_not_used(processor: Processor, monkeypatch: pytest.MonkeyPatch) -> None:
    processor("_is_amx_tile_supported")
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not fast_bfloat16(CPU)


def test_the_measurement_compares_both_kinds_and_leaves_the_threads_as_they_were() -> None:
    before = torch.get_num_threads()
    ratio = device_module._measured_ratio()
    assert 0.0 < ratio < 1e4
    assert torch.get_num_threads() == before


def test_auto_takes_a_gpu_where_there_is_one() -> None:
    assert select_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta", ""])
def test_a_device_that_is_not_there_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(SemganError) as caught:
        select_device(name)
    assert "\n" not in str(caught.value) and "use " in str(caught.value)


def test_out_of_memory_halves_the_batch_and_goes_on_where_it_was() -> None:
    sizes: list[int] = []

    def run(window: slice) -> list[int]:
        items = list(range(*window.indices(100)))
        if len(items) > 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return items

    done = [item for part in halving_batches(run, 11, 8, sizes.append) for item in part]
    assert done == list(range(11))
    assert sizes == [4, 2]


def test_what_libraries_of_cuda_say_of_a_full_gpu_halves_the_batch_too() -> None:
    def run(window: slice) -> int:
        if window.stop - window.start > 1:
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
        return window.start

    assert list(halving_batches(run, 3, 4)) == [0, 1, 2]


def test_other_errors_are_no_reason_to_try_again() -> None:
    tries: list[slice] = []

    def run(window: slice) -> None:
        tries.append(window)
        raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(RuntimeError, match="assert"):
        list(halving_batches(run, 4, 4))
    assert len(tries) == 1


def test_few_items_are_halved_at_once_and_not_the_size_that_they_do_not_fill() -> None:
    tried: list[int] = []

    def run(window: slice) -> int:
        tried.append(window.stop - window.start)
        if tried[-1] > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return window.start

    assert list(halving_batches(run, 4, 128)) == [0, 1, 2, 3]
    assert tried == [4, 2, 1, 1, 1, 1]


def test_memory_that_does_not_suffice_for_one_item_is_reported() -> None:
    def run(window: slice) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.cuda.OutOfMemoryError):
        list(halving_batches(run, 2, 2))


@pytest.mark.parametrize("size", [0, -2])
def test_a_batch_of_nothing_is_refused_instead_of_running_for_ever(size: int) -> None:
    with pytest.raises(SemganError, match=f"batch_size is {size}"):
        list(halving_batches(lambda window: window, 3, size))


def test_the_memory_of_a_failed_batch_is_free_before_the_cache_is_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[weakref.ref[torch.Tensor]] = []
    left: list[int] = []

    def run(window: slice) -> int:
        activations = torch.zeros(8)
        kept.append(weakref.ref(activations))
        if window.stop - window.start > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return window.start

    def empty_cache() -> None:
        left.append(sum(one() is not None for one in kept))

    monkeypatch.setattr(torch.cuda, "empty_cache", empty_cache)
    assert list(halving_batches(run, 2, 2)) == [0, 1]
    assert left == [0]


def test_bfloat16_is_used_only_where_it_is_fast() -> None:
    cpu = torch.device("cpu")
    with autocast(cpu):
        product = torch.ones(4, 4) @ torch.ones(4, 4)
    assert product.dtype == (torch.bfloat16 if fast_bfloat16(cpu) else torch.float32)
    with autocast(cpu, enabled=False):
        assert (torch.ones(4, 4) @ torch.ones(4, 4)).dtype == torch.float32
