"""What the package writes as JSON, every reader takes."""

from __future__ import annotations

import ast
import json
import math
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from monai_semgan.utils.json_text import json_text, nan_where_null
from tests.conftest import REPOSITORY

NUMBERS = st.floats(allow_nan=True, allow_infinity=True) | st.integers() | st.booleans()
CONTENT = st.recursive(
    NUMBERS | st.text() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)

OTHERS = {
    "authoring/create.py", "authoring/update.py", "data/slice_set.py", "io/label_names.py", "jobs/api/openapi.py",
    "jobs/scan_checks.py", "jobs/storage/store.py", "label_app/server/connections.py", "label_app/server/start.py",
    "label_app/studies/conversion.py", "label_app/studies/converted_volumes.py", "label_app/studies/study_series.py",
    "slicing/model_settings.py", "training/engine/record.py",
    "training/run.py", "transforms/dictionary.py", "transforms/scan_meta.py", "utils/file_state.py",
    "utils/json_text.py", "workflows/scan_dataset.py",
}  # fmt: skip
"""Modules that may use `json.dumps`: for hashes, names, settings that were checked, and what only we read again."""


def strict(text: str) -> Any:
    """Read JSON as other languages do, which know no NaN."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


@given(CONTENT)
def test_any_number_can_be_written_and_read_by_others(content: Any) -> None:
    strict(json_text(content))
    strict(json_text({"deep": [content, {"er": content}]}, indent=2))


@given(st.dictionaries(st.text(), st.lists(st.floats(allow_infinity=False))))
def test_a_missing_number_comes_back_as_nan(content: dict[str, list[float]]) -> None:
    found = nan_where_null(json.loads(json_text(content)))
    assert found.keys() == content.keys()
    for name, numbers in content.items():
        pairs = zip(found[name], numbers, strict=True)
        assert all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in pairs)


def test_results_are_written_by_no_other_function() -> None:
    package = REPOSITORY / "monai_semgan"
    found = {path.relative_to(package).as_posix() for path in package.rglob("*.py") if _dumps(path)}
    assert found <= OTHERS


def _dumps(path: Path) -> bool:
    calls = (node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    return any(ast.unparse(call) in ("json.dump", "json.dumps") for call in calls)
