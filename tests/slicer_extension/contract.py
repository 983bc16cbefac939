"""The server's OpenAPI document, and whether what is sent and answered fits it."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jsonschema import Draft202012Validator

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "job_api.openapi.json"


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """Read the document that the server's project publishes."""
    return json.loads(DOCUMENT.read_text(encoding="utf-8"))


def schema_errors(schema: dict[str, Any], value: Any) -> list[str]:
    """List how a value does not fit a schema of the document."""
    whole = {**schema, "components": document()["components"]}
    return [f"{list(error.path)}: {error.message}" for error in Draft202012Validator(whole).iter_errors(value)]


def operation(method: str, path: str) -> dict[str, Any] | None:
    """Find the entry of the document for a path without its query; None if there is none."""
    for template, methods in document()["paths"].items():
        if re.fullmatch(re.sub(r"\\{[^/]+?\\}", "[^/]+", re.escape(template)), path) and method.lower() in methods:
            return methods[method.lower()]
    return None


def request_errors(method: str, target: str, kind: str, body: bytes) -> list[str]:
    """List what is wrong with a request: its query, its content type and its JSON."""
    parts = urlsplit(target)
    found = operation(method, parts.path)
    if found is None:
        return [f"{method} {parts.path} is not in the document"]
    errors = []
    parameters = {entry["name"]: entry for entry in found.get("parameters", []) if entry["in"] == "query"}
    query = dict(parse_qsl(parts.query))
    errors += [f"{target}: unknown parameter {name}" for name in query if name not in parameters]
    for name, entry in parameters.items():
        if name in query:
            whole = entry["schema"].get("type") == "integer" and query[name].isdigit()
            errors += schema_errors(entry["schema"], int(query[name]) if whole else query[name])
        elif entry.get("required"):
            errors.append(f"{target}: {name} is missing")
    content = found.get("requestBody", {}).get("content", {})
    if content and kind not in content:
        errors.append(f"{target}: content type {kind}, not {list(content)}")
    elif "json" in kind and content:
        errors += schema_errors(content[kind]["schema"], json.loads(body))
    elif body and not content:
        errors.append(f"{target}: takes no body")
    return errors


def response_errors(method: str, target: str, status: int, body: bytes) -> list[str]:
    """List how a JSON answer does not fit; others are only looked up."""
    found = operation(method, urlsplit(target).path)
    if found is None:
        return [f"{method} {target} is not in the document"]
    answer = found["responses"].get(str(status))
    if answer is None:
        return [f"{method} {target}: status {status} is not in the document"]
    schema = answer.get("content", {}).get("application/json", {}).get("schema")
    return schema_errors(schema, json.loads(body)) if schema else []


def sample(schema: dict[str, Any], full: bool) -> Any:
    """Make a value that fits a schema of the document.

    Args:
        full: with all properties, otherwise with the required ones alone.
    """
    if "$ref" in schema:
        return sample(document()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], full)
    if "anyOf" in schema:
        return sample(schema["anyOf"][0], full)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        needed = schema.get("properties", {}) if full else schema.get("required", [])
        value = {name: sample(schema["properties"][name], full) for name in needed}
        extra = schema.get("additionalProperties")
        return {"key": sample(extra, full)} if full and isinstance(extra, dict) else value
    if kind == "array":
        if "prefixItems" in schema:
            return [sample(item, full) for item in schema["prefixItems"]]
        return [sample(schema["items"], full) for _ in range(max(int(full), schema.get("minItems", 0)))]
    if kind == "string":
        texts = ("0123456789abcdef" * 2, "CT", "cut_by_edge")
        return next(text for text in texts if re.search(schema.get("pattern", ""), text))
    return {"integer": 3, "number": 2.5, "boolean": True, "null": None}[kind]
