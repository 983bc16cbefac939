"""Labels of the datastore as results in the scene, so that they are measured, corrected and submitted like others."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..Protocols.ClientProtocol import Client
from ..Runs import Results
from ..Runs.Results import Fetched, Target
from ..Scene import Geometry
from ..Scene.Records import Record
from ..Scene.SegmentationExport import LARGEST_VALUE, fingerprint
from ..Scene.VolumeExport import shape_of
from ..Server import Errors
from ..Server.Parsing import Unreadable, parse
from ..Translation import tr as _
from ..Types.DatastoreTypes import LabelFacts
from ..Types.ModelTypes import Code, Label, ModelId
from ..Types.ResultTypes import Domain, Finding, Result
from .LabelTexts import label_title
from .Opening import CannotOpen, read_label, unpacked_label
from .StoredImages import KnownLabel, know_label

if TYPE_CHECKING:
    import numpy

    from ..Server.Nrrd import Grid

PREFERRED = ("final", "preliminary", "original")
"""Tags of labels, those first that a reader wants to see."""

TISSUE = Code("SCT", "85756007", "Tissue")
"""What Slicer takes segments for that nobody has named."""

GOLDEN = 0.618
"""Step between hues: colours of neighbours differ."""


@dataclass(frozen=True)
class FetchedLabel:
    """A label as it came from the server.

    Attributes:
        info: what is kept beside it.
        known: labels of the model that it may come from.
    """

    image: str
    facts: LabelFacts
    data: bytes | Grid
    suffix: str
    info: Mapping[str, Any]
    known: tuple[Label, ...]


def fetch_label(client: Client, image: str) -> FetchedLabel | None:
    """Get the label of an image that a reader wants to see; not for the main thread.

    Returns:
        None if it has none.
    """
    found = {facts.state.tag: facts for facts in client.stored_labels(image)}
    facts = next((found[tag] for tag in PREFERRED if tag in found), None)
    if facts is None:
        return None
    data, suffix, etag = client.label(image, facts.state.tag)
    if etag and etag != facts.state.etag:  # it was replaced between the two requests
        raise Errors.Outdated(_("The label of “{image}” was changed just now. Open it again.").format(image=image))
    content, suffix = unpacked_label(data, suffix, image)
    info = _flat(client.label_info(image, facts.state.tag))
    return FetchedLabel(image, facts, content, suffix, info, _model_labels(client, info))


def _flat(info: Mapping[str, Any]) -> dict[str, Any]:
    """Bring what is kept beside a model's label into the form of what readers send."""
    told = info.get("params")
    if not isinstance(told, dict):
        return dict(info)
    names, colours = told.get("label_names"), told.get("label_colors")
    colours = colours if isinstance(colours, dict) else {}
    entries = [
        {"name": name, "idx": number, "color": colours.get(name)}
        for name, number in (names.items() if isinstance(names, dict) else ())
    ]
    return {**info, **told, "label_info": info.get("label_info") or entries}


def put_label(fetched: FetchedLabel, volume: Any, target: Target) -> Record:
    """Put a label into the scene as the newest result of its image; in the main thread.

    Args:
        target: is changed to where the label went.

    Raises:
        CannotOpen: if it cannot be read or does not lie on the image.
    """
    import numpy as np

    array = _on_scan(read_label(fetched.data, fetched.suffix, fetched.image), volume, fetched.image)
    counts = np.bincount(array.reshape(-1), minlength=LARGEST_VALUE + 1)
    labels = _described(fetched, [int(number) for number in np.flatnonzero(counts) if number])
    result = _result(fetched, volume, labels)
    came = Fetched(
        result,
        array,
        fingerprint(array, Geometry.ijk_to_world(volume)),
        {label.id: int(counts[label.id]) for label in labels},
    )
    record = Results.put(came, volume, target, label_title(fetched.image, fetched.facts))
    facts = fetched.facts
    know_label(volume, KnownLabel(facts.state.tag, facts.state.etag, facts.annotator, facts.edited, True))
    record.origin = facts.state.tag
    record.edited_before = bool(facts.edited)
    return record


def _on_scan(grid: Grid, volume: Any, image: str) -> numpy.ndarray:
    """Bring a label into the order of the scan's voxels, as unsigned bytes."""
    import numpy as np

    place = Geometry.same_points(Geometry.ijk_to_ras(volume), shape_of(volume), grid.affine, grid.array.shape[::-1])
    if place is None:
        raise CannotOpen(_("The label of “{image}” lies elsewhere than the image.").format(image=image))
    array = place.reordered(grid.array)
    if array.min() < 0 or array.max() > LARGEST_VALUE:
        raise CannotOpen(_("The label of “{image}” has numbers above {most}.").format(image=image, most=LARGEST_VALUE))
    return np.ascontiguousarray(array, dtype=np.uint8)


def _model_labels(client: Client, info: Mapping[str, Any]) -> tuple[Label, ...]:
    models, wanted = client.models(), _model_of(info).name
    return next((model.labels for model in models if model.name == wanted), models[0].labels if models else ())


def _described(fetched: FetchedLabel, numbers: list[int]) -> tuple[Label, ...]:
    """Name all numbers: as the reader did, else as the model does, else by the number."""
    named = {label.id: label for label in fetched.known}
    told = fetched.info.get("label_info")
    for entry in told if isinstance(told, list) else ():
        number, name = (entry.get("idx"), entry.get("name")) if isinstance(entry, dict) else (None, None)
        if type(number) is not int or not 1 <= number <= LARGEST_VALUE or not isinstance(name, str) or not name:
            continue
        if number not in named or named[number].name != name:
            named[number] = _plain_label(number, name, entry.get("color"))
    for number in numbers:
        named.setdefault(number, _plain_label(number, _("label {number}").format(number=number), None))
    taken: set[str] = set()
    labels = []
    for number, label in sorted(named.items(), key=lambda item: item[0] not in numbers):  # who has voxels, first
        if label.name not in taken:
            labels.append(label)
        elif number in numbers:
            labels.append(_plain_label(number, f"{label.name} ({number})", label.colour))
        taken.add(labels[-1].name)
    return tuple(sorted(labels, key=lambda label: label.id))


def _plain_label(number: int, name: str, colour: Any) -> Label:
    usable = isinstance(colour, (list, tuple)) and len(colour) == 3
    if usable and all(isinstance(part, int) and 0 <= part <= 255 for part in colour):
        red, green, blue = colour
    else:
        red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(number * GOLDEN % 1.0, 0.6, 0.9))
    return Label(number, name, (red, green, blue), TISSUE, TISSUE)


def _result(fetched: FetchedLabel, volume: Any, labels: tuple[Label, ...]) -> Result:
    """Describe the label as a job's result is described, as far as that is known."""
    affine = Geometry.ijk_to_ras(volume)
    return Result(
        job="",
        version=0,
        partial=False,
        mode=str(fetched.info.get("mode") or "label"),
        labels=labels,
        shape=shape_of(volume),
        affine=tuple(tuple(float(value) for value in row) for row in affine),
        model=_model_of(fetched.info),
        parts=("label",),
        modality=str(fetched.info.get("modality") or ""),
        domain=_domain(fetched.info.get("domain")),
        findings=_findings(fetched.info.get("findings")),
    )


def _model_of(info: Mapping[str, Any]) -> ModelId:
    """Find which model a label was made with; empty names where that is not known."""
    model = info.get("model")
    if isinstance(model, dict):
        return ModelId(*(str(model.get(name) or "") for name in ("name", "version", "sha256")))
    return ModelId(*(str(info.get(name) or "") for name in ("model", "model_version", "model_sha256")))


def _domain(content: Any) -> Domain | None:
    try:
        return parse(Domain, content) if content else None
    except Unreadable:
        return None


def _findings(content: Any) -> tuple[Finding, ...]:
    try:
        return tuple(parse(Finding, entry) for entry in content) if isinstance(content, list) else ()
    except Unreadable:
        return ()
