"""The Qt Designer file against Slicer's widgets: names of properties and signals as its headers publish them."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.slicer_extension.standin.application import MODULE_FOLDER

DESIGN = MODULE_FOLDER / "Resources" / "UI" / "SemGAN.ui"

NODE_BOX = {
    "nodeTypes", "showHidden", "showChildNodeTypes", "hideChildNodeTypes", "baseName", "noneEnabled", "addEnabled",
    "removeEnabled", "editEnabled", "renameEnabled", "interactionNodeSingletonTag", "selectNodeUponCreation",
    "noneDisplay", "sizeAdjustPolicy",
}  # fmt: skip
SLIDER = {"minimum", "maximum", "singleStep", "pageStep", "decimals", "prefix", "suffix", "value", "tracking"}
PROPERTIES = {
    "qMRMLWidget": set(),
    "qMRMLNodeComboBox": NODE_BOX,
    "qMRMLColorTableComboBox": NODE_BOX,
    "ctkCollapsibleButton": {"text", "collapsed", "collapsedHeight", "contentsFrameShape", "flat"},
    "ctkSliderWidget": SLIDER,
    "ctkRangeWidget": (SLIDER - {"value"}) | {"minimumValue", "maximumValue"},
}
"""Of Slicer's and CTK's widgets, beside those of QWidget."""

WIDGET = {"geometry", "toolTip", "enabled", "minimumSize", "maximumSize", "accessibleName"}


@pytest.fixture(scope="module")
def design() -> ElementTree.Element:
    """The file."""
    return ElementTree.parse(DESIGN).getroot()


def test_slicers_widgets_have_the_properties_that_are_set(design: ElementTree.Element) -> None:
    for widget in design.iter("widget"):
        kind = widget.get("class", "")
        if kind in PROPERTIES:
            used = {one.get("name") for one in widget.findall("property")}
            assert used <= PROPERTIES[kind] | WIDGET, widget.get("name")


def test_all_widgets_of_slicer_are_declared(design: ElementTree.Element) -> None:
    declared = {one.findtext("class") for one in design.iter("customwidget")}
    used = {widget.get("class") for widget in design.iter("widget")}
    assert {name for name in used if name and not name.startswith("Q")} == declared == set(PROPERTIES)


def test_every_node_selector_hears_of_the_scene(design: ElementTree.Element) -> None:
    selectors = {one.get("name") for one in design.iter("widget") if "ComboBox" in one.get("class", "")[5:]}
    selectors = {name for name in selectors if name and name.endswith("Selector")}
    told = {
        one.findtext("receiver")
        for one in design.iter("connection")
        if (one.findtext("signal"), one.findtext("slot"))
        == ("mrmlSceneChanged(vtkMRMLScene*)", "setMRMLScene(vtkMRMLScene*)")
    }
    assert selectors == told == {"inputSelector", "targetSelector", "colourSelector"}


def test_names_are_unique_and_used_by_the_code(design: ElementTree.Element) -> None:
    names = [one.get("name", "") for one in design.iter("widget")]
    assert len(names) == len(set(names))
    code = "".join(path.read_text() for path in Path(MODULE_FOLDER, "SemGANLib", "Panel").glob("Widget*.py"))
    asked_for = set(re.findall(r"\bui\.(\w+)", code))
    assert asked_for <= set(names)


def test_wrapped_texts_lie_in_box_layouts(design: ElementTree.Element) -> None:
    """Forms give them the height that they had before their text changed."""
    wrapped = [
        one.get("name")
        for form in design.iter("layout")
        if form.get("class") == "QFormLayout"
        for one in form.findall("item/widget")
        if one.find("property[@name='wordWrap']") is not None
    ]
    assert wrapped == []


def test_fields_have_names_that_are_read_aloud(design: ElementTree.Element) -> None:
    """Buttons have their text, other fields a label that belongs to them or a name of their own."""
    fields = {"QLineEdit", "QComboBox", "QSpinBox", "qMRMLNodeComboBox", "qMRMLColorTableComboBox", "ctkSliderWidget"}
    named = {one.findtext("cstring") for one in design.iter("property") if one.get("name") == "buddy"}
    nameless = [
        one.get("name")
        for one in design.iter("widget")
        if one.get("class") in fields
        and one.get("name") not in named
        and one.find("property[@name='accessibleName']") is None
    ]
    assert nameless == []
    for of_buttons in (one for one in design.iter("widget") if one.get("class") in ("QPushButton", "QCheckBox")):
        assert of_buttons.findtext("property[@name='text']/string"), of_buttons.get("name")


JARGON = re.compile(
    r"objective|latent|\bcodes? of\b|W\+|inver(t|sion)|feed-forward|\bloss\b|epoch|converge", re.IGNORECASE
)
"""Words of those who make models, not of those who read scans."""


def test_all_texts_are_in_plain_words(design: ElementTree.Element) -> None:
    texts = [one.text or "" for one in design.iter("string")]
    library = Path(MODULE_FOLDER, "SemGANLib")
    files = [library / "Texts.py", library / "ResultTexts.py", *library.glob("Panel/*.py")]
    calls = re.compile(r'\b_\(\s*((?:"[^"]*"\s*)+)\)')
    texts += [text for path in files for text in calls.findall(path.read_text(encoding="utf-8"))]
    assert len(texts) > 150
    assert [text for text in texts if JARGON.search(text)] == []
