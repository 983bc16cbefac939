"""The readme of a new bundle: that of the template, with the sections that are about a task written anew."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from monai_semgan.slicing.planes import AXIAL

if TYPE_CHECKING:
    from monai_semgan.slicing.preprocessing import Preprocessing

TABLE_START = "label"
"""Heading of the first column of the table of structures."""

SCANS = {"CT": "CT", "MR": "MRI", "DX": "radiographs", "XC": "colour photographs"}
"""What users call the scans of a modality."""

OF_IMAGES = {
    "Segment a folder of NIfTI files, a pattern, a DICOM folder, or a folder of them": (
        "Segment a folder of pictures, a pattern, or one of them"
    ),
    "--dataset_dir SCANS --output_dir RESULTS\n": (
        "--dataset_dir SCANS --output_dir RESULTS \\\n    --postprocessing#transforms#1#output_ext .png\n"
    ),
}
"""What commands are called, and how they are typed, for models of single images."""


def new_readme(
    template: str, name: str, labels: Sequence[str], modality: str, preprocessing: Preprocessing, authors: str
) -> str:
    """Text of `docs/README.md`.

    Args:
        template: readme of another bundle; its sections on networks, system and commands are taken over.
        name: of the bundle.
        labels: organ names of the ids 1, 2, ...
        modality: `CT`, `MR`, `DX` or `XC`; several as `CT/MR`.
        preprocessing: how scans become slices.
        authors: who makes the bundle.
    """
    sections = _sections(template)
    organs, scans = ", ".join(labels), " and ".join(SCANS[one] for one in modality.split("/"))
    start = (
        f"# {name}\n\n{organs[:1].upper()}{organs[1:]} in {scans}.\n\n### **Authors**\n\n{authors}\n\n"
        f"### **Tags**\n\nSegmentation, generative model, GAN inversion, {organs}, {scans}\n"
    )
    steps = _preprocessing(preprocessing)
    written = {
        "Data": f"Own data. Terms: `docs/data_license.txt`.\n\n#### **Preprocessing**\n\n{steps}",
        "Performance": "Not measured yet: `configs/evaluate.json` prints Dice against the labels of a data list.",
        "Limitations": (
            "Research only. Not a medical device; not for diagnosis or treatment. Scans unlike those that it was\n"
            "trained on are outside of what the model knows. A generator trained on few patients can memorise."
        ),
        "Citation": "Please cite Li et al. [1].",
        "References": _first_reference(sections["References"]),
    }
    if preprocessing.field_of_view == "image":
        sections = {title: _of_images(body) for title, body in sections.items()}
    bodies = {title: written.get(title, body) for title, body in sections.items()}
    return start + "".join(f"\n## **{title}**\n\n{body.strip()}\n" for title, body in bodies.items())


def _of_images(body: str) -> str:
    for volumes, images in OF_IMAGES.items():
        body = body.replace(volumes, images)
    return body


def _sections(text: str) -> dict[str, str]:
    """Text below the headings of the second level, by title."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("## "):
            lines = found.setdefault(line.strip("#* "), [])
        elif found:
            lines.append(line)
    return {title: "\n".join(lines) for title, lines in found.items()}


def _preprocessing(settings: Preprocessing) -> str:
    low, high = settings.percentiles
    if settings.field_of_view == "image":
        values = "Values 0 to 255 of red, green and blue" if settings.image_channels == 3 else None
        return (
            f"The whole image is fitted into {settings.size} x {settings.size} pixels.\n"
            f"{values or f'Percentiles {low:g} and {high:g}'} become -1 and 1. "
            "Labels come back on exactly the image's grid."
        )
    window = " to ".join(f"{value:g}" for value in settings.window)
    cut = "Axial slices" if settings.plane == AXIAL else "Slices as they are stored, where they are thick,"
    return (
        f"{cut} of {settings.size} x {settings.size} pixels of {settings.pixel_mm:g} mm, centred on the body;\n"
        "the pixels grow where the body is wider.\n"
        f"CT: {window} HU to -1 to 1. MR: percentiles {low:g} and {high:g} of the body to -1 to 1.\n"
        "Labels come back on exactly the scan's grid."
    )


def _first_reference(text: str) -> str:
    """That of the method; the others are those of the template's data."""
    return text.strip().split("\n\n")[0]


def dice_table(labels: Mapping[int, str], dice: Mapping[int, Mapping[str, float]]) -> str:
    """Markdown table of the structures of a model: label id, name, and the Dice that was measured, by modality.

    Args:
        labels: organ name by id.
        dice: by id and modality; see `dice_by_label`.
    """
    modalities = list(dict.fromkeys(modality for figures in dice.values() for modality in figures))
    scans = [" and ".join(SCANS.get(one, one) for one in modality.split("/")) for modality in modalities]
    rows = [[TABLE_START, "structure", *scans], ["---"] * (len(scans) + 2)]
    for index, name in labels.items():
        figures = [f"{dice.get(index, {})[m]:.3f}" if m in dice.get(index, {}) else "not measured" for m in modalities]
        rows.append([str(index), name, *(figure.removeprefix("0") for figure in figures)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def with_dice_table(text: str, table: str) -> str:
    """Put a table of `dice_table` in place of the one in a readme; a readme without one stays as it is."""
    old = re.compile(rf"^\| {TABLE_START} \|.*\n(?:\|.*\n)*", re.MULTILINE)
    return old.sub(lambda _: table, text, count=1)


def with_section(text: str, title: str, body: str) -> str:
    """Put a text below a heading of the second level in place of the one there; without the heading nothing changes."""
    old = re.compile(rf"^(## \**{re.escape(title)}\**\n).*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    return old.sub(lambda found: f"{found[1]}\n{body.strip()}\n\n", text, count=1).rstrip("\n") + "\n"


def data_licence(authors: str) -> str:
    """Text of `docs/data_license.txt` of a bundle whose data nobody has told of yet."""
    return (
        "The code and the configuration files of this bundle are under the Apache License 2.0 (see LICENSE).\n\n"
        "The weights in models/model.pt were trained on data of their makers. Write here, before you hand\n"
        "the bundle on, which data these are, under which terms they may be used, and how they are to be cited.\n\n"
        f"Makers: {authors}\n"
    )
