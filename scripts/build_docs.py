"""Build the documentation in `site/`: text, API reference, and a gallery of examples that are run on the way.

    python3 scripts/build_docs.py                  # then open site/index.html
    python3 scripts/build_docs.py --no-gallery     # without running the examples: seconds
    python3 scripts/build_docs.py --example 2_round_trip    # run that example alone

Examples run in `.venv`, pages are made in `.venv-docs`. Broken links, examples that fail and docstrings that contradict
their signature end the build with an error.
"""

from __future__ import annotations

import argparse
import ast
import html
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from environment import CORE, DOCS, REPOSITORY, prepare

PAGES = REPOSITORY / "build" / "docs"
GALLERY = REPOSITORY / "examples" / "gallery"
SEEDS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
"""Beside docs/*.md; all that these link to comes along."""

LIMIT_SECONDS = 600
"""For one example."""

LINK = re.compile(r"\]\(([^)\s#]+)[^)]*\)")
LIST_ITEM = re.compile(r"\s*([*-]|\d+\.) ")

LIST_NAMES = """
import inspect, json, monai_semgan
found = []
for name in monai_semgan.__all__:
    thing = getattr(monai_semgan, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        found.append([name, thing.__module__, (inspect.getdoc(thing) or "").split("\\n")[0]])
print(json.dumps(found))
"""


def main(arguments: list[str]) -> int:
    """Lay out the pages, run the examples, make the site."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-gallery", action="store_true", help="do not run the examples")
    parser.add_argument("--example", help="run this one only")
    options = parser.parse_args(arguments)
    python, docs_python = prepare("", CORE), prepare("", DOCS)
    shutil.rmtree(PAGES, ignore_errors=True)
    copy_text()
    write_settings(python)
    write_reference(python)
    write_gallery(python, [] if options.no_gallery else examples(options.example))
    code = make_site(docs_python)
    if code == 0:
        print("ready: site/index.html; with search: python3 -m http.server -d site")
    return code


def make_site(python: Path) -> int:
    """Make the site of the pages; warnings are errors, which mkdocs counts only where it may also tell."""
    environment = {**os.environ, "DISABLE_MKDOCS_2_WARNING": "true", "NO_MKDOCS_2_WARNING": "1"}
    command = [str(python), "-m", "mkdocs", "build", "--strict", "--clean"]
    run = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, encoding="utf-8", errors="replace"
    )
    told = [line for line in (run.stdout + run.stderr).splitlines() if line and not line.startswith("INFO")]
    print("\n".join(told), end="\n" if told else "", flush=True)
    return run.returncode


def copy_text() -> None:
    """The repository's pages under their own paths, with every file that they link to."""
    waiting = [REPOSITORY / name for name in SEEDS] + sorted((REPOSITORY / "docs").rglob("*.md"))
    seen = set()
    while waiting:
        path = waiting.pop()
        if path in seen or not path.is_file():  # what is missing is found by mkdocs
            continue
        seen.add(path)
        target = PAGES / path.relative_to(REPOSITORY)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".md":
            shutil.copyfile(path, target)
            continue
        text = path.read_text(encoding="utf-8")
        target.write_text(with_blank_lines(text), encoding="utf-8")
        links = {(path.parent / link).resolve() for link in LINK.findall(text) if ":" not in link}
        waiting += sorted(link for link in links if link.is_relative_to(REPOSITORY))


def with_blank_lines(text: str) -> str:
    """Set a blank line before every list: GitHub does without, Python-Markdown does not."""
    lines: list[str] = []
    fenced = False
    for line in text.split("\n"):
        fenced ^= line.lstrip().startswith("```")
        above = lines[-1] if lines else ""
        inside = LIST_ITEM.match(above) or above.startswith((" ", "#"))  # of a list, or below a heading
        if not fenced and LIST_ITEM.match(line) and above.strip() and not inside:
            lines.append("")
        lines.append(line)
    return "\n".join(lines)


def write_settings(python: Path) -> None:
    """A page with every setting of training, out of the docstrings."""
    code = "from monai_semgan.cli.setting_list import settings_markdown as text; print(text())"
    run = subprocess.run([str(python), "-c", code], cwd=REPOSITORY, capture_output=True, encoding="utf-8")
    if run.returncode:
        sys.exit(f"error: the settings cannot be listed\n{run.stderr}")
    folder = PAGES / "docs" / "guide"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.md").write_text(run.stdout, encoding="utf-8")


def write_reference(python: Path) -> None:
    """A page for every package that public names come from, and a list of all of them."""
    run = subprocess.run(
        [str(python), "-c", LIST_NAMES], cwd=REPOSITORY, capture_output=True, encoding="utf-8", errors="replace"
    )
    if run.returncode:
        sys.exit(f"error: the public names cannot be listed\n{run.stderr}")
    rooms: dict[str, list[tuple[str, str, str]]] = {}
    for name, module, summary in json.loads(run.stdout):
        rooms.setdefault(module.split(".")[1], []).append((module, name, summary))
    folder = PAGES / "docs" / "reference"
    folder.mkdir(parents=True)
    overview = ["# API reference", "", "`import monai_semgan as sg` gives all of these, each loaded when first used."]
    overview += ["What is not listed may change without notice ([deprecation](../deprecation.md))."]
    for room in sorted(rooms):
        overview += ["", f"## [{room}]({room}.md)", ""]
        page = [f"# {room}", "", package_text(room), ""]
        for module, name, summary in rooms[room]:
            overview.append(f"* [`{name}`]({room}.md#{module}.{name}): {summary}")
            page += [f"::: {module}.{name}", ""]
        (folder / f"{room}.md").write_text("\n".join(page), encoding="utf-8")
    (folder / "index.md").write_text("\n".join(overview) + "\n", encoding="utf-8")


def package_text(room: str) -> str:
    """First paragraph of a package's docstring."""
    path = REPOSITORY / "monai_semgan" / room / "__init__.py"
    path = path if path.exists() else path.parent.with_suffix(".py")
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]


def examples(only: str | None) -> list[Path]:
    """The examples in order."""
    found = sorted(GALLERY.glob("[0-9]*.py"))
    chosen = [path for path in found if only in (None, path.stem)]
    if not chosen:
        sys.exit(f"error: no example {only!r}; there are {', '.join(path.stem for path in found)}")
    return chosen


def write_gallery(python: Path, chosen: list[Path]) -> None:
    """Run the examples; a page for each with its text, code, output and pictures."""
    folder = PAGES / "docs" / "gallery"
    folder.mkdir(parents=True)
    index = [
        "# Gallery",
        "",
        "Small programs on data that they generate themselves, in `examples/gallery/`. Each of them",
    ]
    index += ["was run when these pages were made.", ""]
    for path in chosen:
        title = _write_example(python, path, folder)
        pictures = sorted((folder / path.stem).glob("*.png"))
        picture = f"[![{title}]({path.stem}/{pictures[0].name})]({path.stem}.md)" if pictures else ""
        index += [f"## [{title}]({path.stem}.md)", "", picture, ""]
    (folder / "index.md").write_text("\n".join(index), encoding="utf-8")


def _write_example(python: Path, path: Path, folder: Path) -> str:
    code = path.read_text(encoding="utf-8")
    tree = ast.parse(code)
    title, _, text = (ast.get_docstring(tree) or path.stem).partition("\n\n")
    title = title.rstrip(".")
    print(f"{path.stem} ...", end=" ", flush=True)
    output, seconds = _run(python, path, folder / path.stem)
    print(f"{seconds:.0f} s")
    body = "\n".join(code.split("\n")[tree.body[0].end_lineno or 0 :]).strip()
    page = [f"# {title}", "", text, "", "```python", body, "```", ""]
    page += ["It prints", "", f"<pre><code>{html.escape(output.rstrip())}</code></pre>", ""] if output.strip() else []
    for picture in sorted((folder / path.stem).glob("*.png")):
        page += [f"![{picture.stem.replace('_', ' ')}]({path.stem}/{picture.name})", ""]
    page += [f"*`examples/gallery/{path.name}`, {seconds:.0f} s on the machine that made this page.*", ""]
    (folder / f"{path.stem}.md").write_text("\n".join(page), encoding="utf-8")
    return title


def _run(python: Path, path: Path, out: Path) -> tuple[str, float]:
    """Output and seconds of an example, with one thread, which is faster for small networks; only pictures stay."""
    out.mkdir()
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    command = [str(python), str(path), str(out)]
    begun = time.perf_counter()
    run = subprocess.run(
        command,
        cwd=out,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=LIMIT_SECONDS,
    )
    seconds = time.perf_counter() - begun
    if run.returncode:
        sys.exit(f"\nerror: {path.relative_to(REPOSITORY)} failed\n{run.stdout}{run.stderr}")
    for other in sorted(out.rglob("*"), reverse=True):
        if other.is_dir():
            shutil.rmtree(other)
        elif other.suffix != ".png":
            other.unlink()
    return run.stdout, seconds


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
