"""`import monai_semgan as sg`: fast, complete, and all that documents, examples and configurations name."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import monai_semgan as sg
from tests.conftest import REPOSITORY, SHIPPED_BUNDLE

IMPORT_SECONDS = 0.1

DOOR = REPOSITORY / "monai_semgan" / "__init__.py"

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")), SHIPPED_BUNDLE / "docs" / "README.md"]

EXAMPLES = sorted((REPOSITORY / "examples").rglob("*.py"))


def printed(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_is_fast_and_loads_no_library() -> None:
    code = (
        "import sys, time; start = time.process_time(); import monai_semgan; used = time.process_time() - start\n"
        "print(used, *{'torch', 'numpy', 'monai', 'nibabel'} & set(sys.modules))"
    )
    seconds, *libraries = min(printed(code).split() for _ in range(3))
    assert libraries == [] and float(seconds) < IMPORT_SECONDS


@pytest.mark.parametrize("name", sg.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    found = getattr(sg, name)
    if inspect.isclass(found) or inspect.isfunction(found):
        assert inspect.getdoc(found)
        assert f"from {found.__module__} import" in DOOR.read_text(), "defined elsewhere than the door says"


def test_the_door_loads_what_it_shows_to_type_checkers() -> None:
    checked = {
        alias.name: node.module
        for block in ast.parse(DOOR.read_text()).body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert checked == {name: f"monai_semgan.{home}" for name, home in sg._HOME_OF.items()}
    assert sorted([*checked, "__version__"]) == sorted(sg.__all__) == sorted(set(sg.__all__))


def test_public_functions_take_at_most_eight_arguments() -> None:
    for name in sg.__all__:
        found = getattr(sg, name)
        if inspect.isfunction(found):
            kinds = [p.kind for p in inspect.signature(found).parameters.values()]
            assert sum(kind is not inspect.Parameter.VAR_KEYWORD for kind in kinds) <= 8, name


def test_no_public_name_is_that_of_a_module() -> None:
    from monai_semgan._moved import MOVED

    rooms = {path.stem for path in DOOR.parent.iterdir()} | set(MOVED)
    assert not rooms & set(sg.__all__)


def test_names_are_listed_where_somebody_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert set(sg.__all__) <= set(dir(sg))


def test_programs_that_look_at_every_module_load_nothing() -> None:
    code = "import inspect, sys, monai_semgan; inspect.getmembers(monai_semgan); print('torch' in sys.modules)"
    assert printed(code) == "False\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'segmnt'"):
        sg.segmnt  # noqa: B018
    assert not hasattr(sg, "segmnt")


def strings(value: Any) -> Iterator[tuple[str, str]]:
    """Key and text of everything in a configuration."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(inner, (dict, list)):
            yield from strings(inner)
        elif isinstance(inner, str):
            yield str(key), inner


@pytest.mark.parametrize("path", sorted((SHIPPED_BUNDLE / "configs").glob("*.json")), ids=lambda path: path.name)
def test_configurations_name_public_names_only(path: Path) -> None:
    for key, text in strings(json.loads(path.read_text())):
        if "monai_semgan" in text and path.name != "metadata.json":
            match = re.fullmatch(r"\$from monai_semgan import (\w+)|monai_semgan\.(\w+)", text)
            assert match is not None and (key == "_target_" or text.startswith("$")), text
            assert (match[1] or match[2]) in sg.__all__


def test_the_reference_lists_every_public_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(REPOSITORY / "scripts")
    spec = importlib.util.spec_from_file_location("build_docs", REPOSITORY / "scripts" / "build_docs.py")
    assert spec is not None and spec.loader is not None
    build_docs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build_docs)
    monkeypatch.setattr(build_docs, "PAGES", tmp_path)
    build_docs.write_reference(Path(sys.executable))
    listed = re.findall(r"^[|*] \[`(\w+)`\]", (tmp_path / "docs" / "reference" / "index.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(set(sg.__all__) - {"__version__"})


@pytest.mark.parametrize("path", [*PAGES, *EXAMPLES], ids=lambda path: path.name)
def test_documents_and_examples_use_public_names(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    code = (
        text
        if path.suffix == ".py"
        else "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    )
    used = {*re.findall(r"\bsg\.(\w+)", code), *re.findall(r"^from monai_semgan import (\w+)$", code, re.MULTILINE)}
    assert used <= set(sg.__all__)
    if path.name != "job_api.md":  # the server that others build upon needs an extra
        assert not re.findall(r"^(?:from|import) monai_semgan\.(?!cli import main)[\w.]+", code, re.MULTILINE)


def test_a_scan_is_segmented_from_its_file_as_from_a_volume(tiny_bundle: Path, ct_scan: Path) -> None:
    volume = sg.read_volume(ct_scan)
    from_volume = sg.segment(volume, sg.load_bundle(tiny_bundle, "cpu"), labels=["liver"])
    from_file = sg.segment(str(ct_scan), tiny_bundle, labels=["liver"])
    assert from_volume.label.any() and list(from_volume.volumes_ml) == ["liver"]
    np.testing.assert_array_equal(from_file.label, from_volume.label)


@pytest.fixture
def data_list(tiny_bundle: Path, ct_scan: Path, tmp_path: Path) -> Path:
    """A data list whose label is what the tiny bundle finds: the best Dice that there is."""
    volume = sg.read_volume(ct_scan)
    sg.write_label(sg.segment(volume, tiny_bundle).label, volume, tmp_path / "truth.nii.gz")
    entry = {"image": ct_scan.name, "label": "truth.nii.gz", "patient": "scan"}
    (tmp_path / "other.nii.gz").write_bytes(ct_scan.read_bytes())
    content = {"training": [{"image": "other.nii.gz"}], "validation": [entry]}
    (tmp_path / "list.json").write_text(json.dumps(content))
    return tmp_path / "list.json"


def test_a_model_is_evaluated_over_a_data_list(data_list: Path, tiny_bundle: Path) -> None:
    study = sg.evaluate(data_list, tiny_bundle, with_distance=False)
    assert [patient.patient for patient in study.scored] == ["scan"]
    assert study.dice["mean"] == 1.0 and study.settings["mode"] == "preview"


def test_label_files_are_evaluated_over_a_data_list(data_list: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "scan.nii.gz").write_bytes((tmp_path / "truth.nii.gz").read_bytes())
    for bundle in (tiny_bundle, sg.load_bundle(tiny_bundle, "cpu"), None):
        study = sg.evaluate(sg.load_datalist(data_list), bundle, predictions=folder, with_distance=False)
        assert study.dice["mean"] == 1.0


def test_a_section_without_labels_is_refused(data_list: Path, tiny_bundle: Path) -> None:
    with pytest.raises(sg.SemganError, match=r"list\.json: no labelled entry to score"):
        sg.evaluate(data_list, tiny_bundle, section="training")
    with pytest.raises(sg.SemganError, match="unknown section 'nowhere'"):
        sg.evaluate(data_list, tiny_bundle, section="nowhere")
