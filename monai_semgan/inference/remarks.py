"""What a user should know of a result beside its label, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monai_semgan.inversion.result import InversionResult
    from monai_semgan.quality.assessment import DomainAssessment
    from monai_semgan.slicing.prepared import PreparedVolume

IN_DOMAIN = "in domain"

MOST_NAMED = 6
"""Structures that a sentence lists by their names."""

BY_THE_ORGANS = "it looks at the organs that were found (size, place, outline, certainty), not at the modality"
"""Why a score may call a scan of another modality like what the model knows."""


@dataclass(frozen=True)
class Remark:
    """One sentence, or two.

    Attributes:
        text: the sentence.
        code: kind, in one word; empty for what another field of the result says as well.
        warning: whether it asks for a look before the result is used.
        structures: names of the organs that it is about; none: all.
    """

    text: str
    code: str = ""
    warning: bool = True
    structures: tuple[str, ...] = ()


def unlearnt_modality(prepared: PreparedVolume, learnt: Sequence[str]) -> str:
    """Say that a model has not learnt from scans of this modality; empty if it has, or if it does not tell."""
    if not learnt or prepared.modality in learnt:
        return ""
    what = f"{prepared.modality}{' (or a CT that is not in HU)' if prepared.guessed else ''}"
    return f"The input is {what}, the model has learnt from {' and '.join(learnt)}: check the result."


def with_reservation(domain: DomainAssessment | None, unlearnt: str) -> DomainAssessment | None:
    """Return an assessment whose advice does not contradict the warning of `unlearnt_modality`."""
    if domain is None or domain.verdict != IN_DOMAIN or not unlearnt:
        return domain
    return replace(domain, advice=f"{unlearnt} The score calls the scan in domain, but {BY_THE_ORGANS}.")


def remarks_on(
    counts: Mapping[str, float],
    prepared: PreparedVolume,
    result: InversionResult | None,
    learnt: Sequence[str],
    domain: DomainAssessment | None,
) -> tuple[Remark, ...]:
    """Return the remarks on a result.

    Args:
        counts: voxels by organ name, of those given out.
        prepared: the slices.
        result: of the inversion, if there was one.
        learnt: modalities of the model; empty if it does not tell.
        domain: how far the scan is from what the model knows.
    """
    found = [*_on_domain(domain), *_on_organs(counts, prepared)]
    if unlearnt := unlearnt_modality(prepared, learnt):
        in_domain = domain is not None and domain.verdict == IN_DOMAIN
        reason = f" The score calls the scan in domain, but {BY_THE_ORGANS}." if in_domain else ""
        found.insert(min(1, len(_on_domain(domain))), Remark(f"{unlearnt}{reason}", "modality_unlearnt"))
    if prepared.not_in_hu:  # before what follows from it
        found.insert(0, Remark(prepared.not_in_hu, "not_in_hu"))
    return (*found, *_on_inversion(result))


def _on_domain(domain: DomainAssessment | None) -> list[Remark]:
    if domain is None:
        return []
    if domain.score is None:
        return [Remark(f"Out-of-domain score: {domain.verdict}. {domain.advice}")]
    if domain.verdict == IN_DOMAIN:
        return []
    return [Remark(f"Out-of-domain score {domain.score:.2f}: {domain.verdict}. {domain.advice}")]


def _on_organs(counts: Mapping[str, float], prepared: PreparedVolume) -> list[Remark]:
    if any(counts.values()):
        return []
    organs = ", ".join(counts) if len(counts) <= MOST_NAMED else f"any of the {len(counts)} structures of the model"
    article = "an" if prepared.modality.startswith("M") else "a"
    text = f"No organ was found: the scan may not show {organs}, or not be {article} {prepared.modality}."
    return [Remark(text, "nothing_found")]


def _on_inversion(result: InversionResult | None) -> list[Remark]:
    found = []
    if result is not None and result.failed.any():
        count, total = int(result.failed.sum()), len(result.failed)
        text = f"The inversion of {count} of {total} slices met values that are not numbers and was given up."
        found.append(Remark(text, "slices_failed"))
    if result is not None and result.cancelled:
        done = int(result.steps_done.max())
        text = f"Stopped early after {done} steps: the result is the best found until then."
        found.append(Remark(text, "stopped_early", warning=False))
    return found
