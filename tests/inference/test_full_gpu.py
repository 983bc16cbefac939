"""A GPU that is full, from the first slice on: the result is that of the CPU, and says where it was computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from monai_semgan.bundle.load import Bundle, load_bundle
from monai_semgan.cohort.case_runner import CaseRunner
from monai_semgan.cohort.cases import Case
from monai_semgan.cohort.cohort_settings import CohortSettings
from monai_semgan.inference.inferer import SliceInversionInferer
from monai_semgan.inference.mirror import mirror_scores
from monai_semgan.inference.segmentation import segment
from monai_semgan.inference.synthesis import sample_patient, sample_slices
from monai_semgan.networks import InversionSegmenter, JointGenerator
from monai_semgan.outputs.report.rendered_residual import rendered_residual
from monai_semgan.utils.gpu import FULL
from tests.phantoms import grid, patient, save_nifti

Fill = Callable[[InversionSegmenter], None]


@pytest.fixture
def bundle(tiny_bundle: Path) -> Bundle:
    """A small model, on a device that takes it."""
    return load_bundle(tiny_bundle, "cpu")


@pytest.fixture
def fill(monkeypatch: pytest.MonkeyPatch) -> Fill:
    """Fills the memory of the device on which a network lies: nothing can be computed there any more."""

    def fill_gpu(full: InversionSegmenter) -> None:
        for name in ("preview", "encode", "render"):
            original = getattr(InversionSegmenter, name)

            def guarded(self: InversionSegmenter, *given: Any, call: Callable[..., Any] = original) -> Any:
                if self is full:
                    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 MiB")
                return call(self, *given)

            monkeypatch.setattr(InversionSegmenter, name, guarded)

    return fill_gpu


@pytest.mark.parametrize("mode", ["preview", "encoder", "invert", "refine"])
def test_every_mode_gives_the_result_of_the_cpu_with_a_note(bundle: Bundle, fill: Fill, mode: str) -> None:
    volume = patient(*grid(), seed=1)
    expected = segment(volume, bundle, mode)
    assert FULL not in expected.notes
    fill(bundle.network)
    found = segment(volume, bundle, mode)
    assert np.array_equal(found.label, expected.label)
    assert torch.equal(found.probabilities, expected.probabilities)
    assert found.notes == (*expected.notes, FULL)
    assert [remark.code for remark in found.remarks if not remark.warning] == ["computed_on_cpu"]


def test_progress_goes_on_after_the_first_try(bundle: Bundle, fill: Fill) -> None:
    seen: list[tuple[str, int]] = []
    fill(bundle.network)
    segment(patient(*grid()), bundle, "preview", on_step=lambda event: seen.append((event.phase, event.step)))
    assert seen[-1][1] > 0


def test_a_model_that_did_not_fit_when_it_was_loaded_says_so_in_every_result(bundle: Bundle) -> None:
    object.__setattr__(bundle, "device_note", FULL)
    volume = patient(*grid())
    assert all(segment(volume, bundle).notes[-1] == FULL for _ in range(2))


def test_scans_of_a_cohort_are_done_and_their_lines_say_where(tiny_bundle: Path, tmp_path: Path, fill: Fill) -> None:
    affine, shape = grid()
    path = save_nifti(tmp_path / "scan.nii.gz", patient(affine, shape, seed=1).array, affine)
    out = tmp_path / "out"
    out.mkdir()
    runner = CaseRunner(CohortSettings(bundle=tiny_bundle, device="cpu"), out)
    fill(runner.bundle.network)
    record = runner.run(Case("scan", path))
    assert record.status == "done" and FULL in record.message


def test_the_mirror_image_and_the_renderings_of_a_report_are_made_too(bundle: Bundle, fill: Fill) -> None:
    prepared = bundle.preprocessing(patient(*grid(), seed=1))
    scores, rendered = mirror_scores(bundle, prepared), rendered_residual(bundle, prepared)
    fill(bundle.network)
    assert mirror_scores(bundle, prepared) == scores
    again = rendered_residual(bundle, prepared)
    assert again[0] == rendered[0] and torch.equal(again[1], rendered[1])


@pytest.mark.parametrize("mode", ["preview", "refine"])
def test_workflows_of_monai_go_on_as_well(bundle: Bundle, fill: Fill, mode: str) -> None:
    slices = bundle.preprocessing(patient(*grid())).image[:4]
    volume = slices.permute(1, 2, 3, 0)[None]
    inferer = SliceInversionInferer({"steps": 1}, mode)
    expected = inferer(volume, bundle.network)
    fill(bundle.network)
    found = inferer(volume, bundle.network)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_synthetic_patients_are_rendered_as_well(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    slices, (image, label) = sample_slices(bundle, 3), sample_patient(bundle)
    full, original = bundle.network.generator, JointGenerator.synthesis

    def guarded(self: JointGenerator, *given: Any, **more: Any) -> Any:
        if self is full:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 MiB")
        return original(self, *given, **more)

    monkeypatch.setattr(JointGenerator, "synthesis", guarded)
    assert np.array_equal(sample_slices(bundle, 3).image, slices.image)
    again = sample_patient(bundle)
    assert np.array_equal(again[0].array, image.array) and np.array_equal(again[1].array, label.array)
