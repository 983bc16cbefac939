"""The table of structures in the readme of a bundle."""

from __future__ import annotations

from monai_semgan.authoring.readme import OF_IMAGES, dice_table, new_readme, with_dice_table
from monai_semgan.slicing.preprocessing import Preprocessing
from tests.conftest import SHIPPED_BUNDLE

LABELS = {1: "liver", 12: "right adrenal gland"}


def test_every_structure_stands_there_with_what_was_measured() -> None:
    table = dice_table(LABELS, {1: {"CT": 0.9409, "MR": 0.815}, 12: {"CT": 1.0}})
    assert table.splitlines()[0] == "| label | structure | CT | MRI |"
    assert table.splitlines()[2:] == [
        "| 1 | liver | .941 | .815 |",
        "| 12 | right adrenal gland | 1.000 | not measured |",
    ]
    assert "| 1 | liver |\n" in dice_table(LABELS, {})


def test_new_figures_take_the_place_of_the_old_ones_and_of_nothing_else() -> None:
    other = "| mode | CT |\n|---|---|\n| preview | .9 |\n"
    old, new = dice_table({1: "liver"}, {1: {"CT": 0.5}}), dice_table(LABELS, {1: {"CT": 0.6}})
    text = f"Before\n\n{other}\n{old}\nAfter\n"
    assert with_dice_table(text, new) == f"Before\n\n{other}\n{new}\nAfter\n"
    assert with_dice_table(other, new) == other


def test_models_of_single_images_tell_commands_for_pictures() -> None:
    template = (SHIPPED_BUNDLE / "docs" / "README.md").read_text(encoding="utf-8")
    assert all(volumes in template for volumes in OF_IMAGES), "or nothing would be replaced"
    for view, modality in (("image", "DX"), ("body", "CT")):
        cut = Preprocessing(num_classes=2, field_of_view=view)
        text = new_readme(template, "mine", ["lungs"], modality, cut, "Ann")
        assert ("output_ext .png" in text, "NIfTI" in text) == (view == "image", view == "body")
