"""Sentences about models and results."""

from __future__ import annotations

from collections.abc import Mapping

from .Texts import duration
from .Translation import tr as _
from .Types.ModelTypes import Mode, Model
from .Types.ResultTypes import Domain, Result

IN_DOMAIN, UNUSUAL, OUT_OF_DOMAIN = "in domain", "unusual", "out of domain"
"""Verdicts on a scan."""

WARNING_LEVEL, UNLEARNT, NOT_IN_HU = "warning", "modality_unlearnt", "not_in_hu"
"""Level and code of findings."""


def domain_warning(domain: Domain | None) -> str:
    """Warn in plain words where a scan is out of domain or nearly so; empty otherwise."""
    if domain is None or domain.verdict not in (UNUSUAL, OUT_OF_DOMAIN):
        return ""
    if domain.verdict == UNUSUAL:
        text, alone = _("This scan is unusual for the model."), _("Check the result with care.")
    else:
        text, alone = _("This scan is unlike those the model has learnt from."), _("Do not rely on the result.")
    return f"{text} {domain.advice or alone}"


def modality_warning(result: Result, model: Model | None) -> str:
    """Warn where a model has not learnt from scans of this modality, or the scan is none of it; empty otherwise."""
    told = [finding.text for finding in result.findings if finding.code in (NOT_IN_HU, UNLEARNT)]
    if told:
        return told[0]
    if model is None or not model.modalities or result.modality in ("", *model.modalities):
        return ""
    text = _(
        "The scan was taken for {modality}, the model has learnt from {learnt}: check every slice, or choose under"
        " “Scan is” what it really is."
    )
    return text.format(modality=result.modality, learnt=", ".join(model.modalities))


def warnings(result: Result, model: Model | None) -> list[str]:
    """List what must be looked at before a result is used."""
    found = [finding.text for finding in result.findings if finding.level == WARNING_LEVEL and finding.code != UNLEARNT]
    return list(dict.fromkeys(filter(None, [modality_warning(result, model), domain_warning(result.domain), *found])))


def remarks(result: Result) -> list[str]:
    """List what is good to know of a result."""
    return [finding.text for finding in result.findings if finding.level != WARNING_LEVEL and finding.code != UNLEARNT]


def about_structures(result: Result) -> dict[str, str]:
    """Collect what was found about single structures, by their name."""
    names = {label.id: label.name for label in result.labels}
    texts: dict[str, list[str]] = {}
    for finding in result.findings:
        for number in finding.labels:
            if number in names:
                texts.setdefault(names[number], []).append(finding.text)
    return {name: "\n".join(found) for name, found in texts.items()}


def unlike(result: Result) -> bool:
    """Tell whether a scan is unlike those that the model has learnt from, by its score or by its modality."""
    out = result.domain is not None and result.domain.verdict == OUT_OF_DOMAIN
    return out or any(finding.code in (UNLEARNT, NOT_IN_HU) for finding in result.findings)


def made_by(result: Result) -> str:
    """Say which model made a result, and how; of a label that was opened, where it comes from."""
    if not result.job:
        known = " ".join(filter(None, [result.model.name, result.model.version]))
        made = _("Label from the server, made with {model}.").format(model=known)
        return made if known else _("Label from the server.")
    parts = [_("Preview") if result.mode == "preview" else _("Refined")]
    if result.partial:
        parts.append(_("so far"))
    parts.append(_("by {name} {version}").format(name=result.model.name, version=result.model.version))
    if result.modality:
        parts.append(_("as {modality}").format(modality=result.modality))
    return " ".join(parts) + "."


def verdict_text(result: Result, model: Model | None) -> str:
    """Say whether the scan is like those the model has learnt from; a reservation is told with its reason."""
    domain = result.domain
    if result.partial:
        return ""
    if domain is None or domain.verdict not in (IN_DOMAIN, UNUSUAL, OUT_OF_DOMAIN):
        return _("Scan: cannot tell whether the model knows its like.") if result.job else ""
    score = f"{domain.score:.2f}"
    if domain.verdict != IN_DOMAIN:
        return _("Scan: {verdict} (score {score}).").format(verdict=domain.verdict, score=score)
    if any(finding.code == NOT_IN_HU for finding in result.findings):
        return _("Scan: score {score}, which says little as its values are none of a CT.").format(score=score)
    if modality_warning(result, model):
        text = _("Scan: score {score}, which says little as the model has not learnt from {modality}.")
        return text.format(score=score, modality=result.modality)
    return _("Scan: in domain, like those the model has learnt from (score {score}).").format(score=score)


def mode_of(model: Model | None, name: str) -> Mode | None:
    """Find a mode of a model."""
    return next((mode for mode in model.modes if mode.name == name), None) if model is not None else None


def refine_text(model: Model | None) -> str:
    """Say what a refinement costs and gains with a model, as measured."""
    refine, preview = mode_of(model, "refine"), mode_of(model, "preview")
    if refine is None:
        return _("Connect to a server to see what Refine costs and gains.")
    lines = [_("Fits the model to this scan, step by step. {cost}").format(cost=_cost(refine, preview)).strip()]
    gains = _gains(refine.gain, preview.dice if preview is not None else {})
    if gains:
        lines.append(_("Measured mean Dice: {gains}.").format(gains="; ".join(gains)))
    conclusions = {
        True: _("It is better than Preview with this model."),
        False: _("It gains nothing that matters with this model: Preview is enough."),
        None: _("Whether it is better than Preview was not measured for this model."),
    }
    return "\n".join([*lines, conclusions[refine.worth_it]])


def _cost(refine: Mode, preview: Mode | None) -> str:
    if refine.seconds is None:
        return _("How long it takes here is known after the first time.")
    if preview is None or preview.seconds is None:
        return _("The last time it took {time}.").format(time=duration(refine.seconds))
    text = _("The last time it took {time}, Preview {short}.")
    return text.format(time=duration(refine.seconds), short=duration(preview.seconds))


def _gains(gain: Mapping[str, float], before: Mapping[str, float]) -> list[str]:
    told = []
    for modality, change in gain.items():
        if modality in before:
            value = before[modality]
            told.append(f"{modality} {value:.3f} \u2192 {value + change:.3f} ({change:+.3f})")
        else:
            told.append(f"{modality} {change:+.3f}")
    return told
