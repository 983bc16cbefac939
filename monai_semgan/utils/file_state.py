"""Whether an input is still the one that a kept result was made from.

Two things tell a file that has changed: its size and time of change, and a digest of samples of its content. The time
alone does not: tools that restore it (`cp -p`, unpacking), and file systems that count in seconds (FAT, network
drives), leave it as it was. The samples hold all of a small file, and the end of every larger one, where compressed
files keep their checksum. What remains unseen is a change of some voxels in a large file without compression, or of one
slice among many, made by a program that puts the time back. The time at which the inode changed would show that too,
but it changes with every copy, so that a job on a cluster, whose data are copied to it anew, would never find its
results again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

State = list[list[str | int]]
"""Path below the input, size, time of change and digest of samples of each file; as JSON reads it back."""

SAMPLE, SAMPLE_EVERY, MAX_SAMPLES = 1 << 12, 1 << 18, 16
SMALL = 1 << 16
"""Files up to this size are hashed whole, larger ones by samples."""

SAMPLED_FILES = 32
"""Of a folder with more files only so many are opened: another series differs in each of its slices."""

HEADERS = (".nhdr", ".nrrd", ".mhd", ".mha")
"""Files whose text may name others that hold the voxels."""

HEADER_BYTES = 1 << 20

ANALYZE = re.compile(r"\.(hdr|img|mat)(\.gz|\.bz2|\.zst)?$", re.IGNORECASE)
"""Header, voxels, and the geometry that SPM keeps beside them."""

_DATA_FIELD = re.compile(rb"^[ \t]*(?:data ?file[ \t]*:|elementdatafile[ \t]*=)(.*)", re.IGNORECASE | re.MULTILINE)
_PATTERN = re.compile(r"(.*)%\d*l*[diu](.*?)(?:\s+-?\d+)*$")


def file_state(path: str | Path) -> State:
    """State of a file and of the files that belong to it, or of every file in a folder and below.

    To `.mhd`, `.nhdr` and their kin belong the data files that the header names, alone, as a list or as a pattern;
    to `.hdr` or `.img` the other one, and `.mat`. A file that cannot be looked at has size -1.

    Args:
        path: the input.
    """
    path = Path(path)
    base = os.path.join(path if path.is_dir() else path.parent, "")
    files = files_of(path)
    step = -(-len(files) // SAMPLED_FILES)
    return [_state_of(str(file), base, number % step == 0) for number, file in enumerate(files)]


def files_of(path: Path) -> list[Path]:
    """Return the files that belong to an input, itself among them, in order of their paths."""
    if path.is_dir():
        names = (os.path.join(root, name) for root, _, names in os.walk(path) for name in names)
        return [Path(name) for name in sorted(names)]
    return sorted({path, *_companions(path)})


def fingerprint(content: object) -> str:
    """Return the SHA-256 of what JSON can hold: the state of files, settings, hashes."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def content_digest(path: str | Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _state_of(file: str, base: str, sampled: bool) -> list[str | int]:
    name = file.removeprefix(base).replace(os.sep, "/")
    try:
        found = os.stat(file)
        digest = _samples(file, found.st_size) if sampled and stat.S_ISREG(found.st_mode) else ""
    except OSError:
        return [name, -1, 0, ""]
    return [name, found.st_size, found.st_mtime_ns, digest]


def _samples(file: str, size: int) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with open(file, "rb", buffering=0) as stream:
        if size <= SMALL:
            digest.update(stream.read(SMALL))
        else:
            count = min(MAX_SAMPLES, 2 + size // SAMPLE_EVERY)
            for number in range(count):
                stream.seek((size - SAMPLE) * number // (count - 1))
                digest.update(stream.read(SAMPLE))
    return digest.hexdigest()


def _companions(path: Path) -> Iterator[Path]:
    if path.suffix.lower() in HEADERS:
        for name in _named_in_header(path):
            yield from _named(path.parent / name)
    found = ANALYZE.search(path.name)
    if found:
        name = path.name[: found.start()]
        beside = _names_in(path.parent)
        yield from (path.with_name(other) for other in beside if other != name and ANALYZE.sub("", other) == name)


def _named_in_header(path: Path) -> list[str]:
    """Names, or a pattern of them, of the data files of a header of NRRD or MetaImage."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return []
        with open(path, "rb") as stream:
            head = stream.read(HEADER_BYTES)
    except OSError:
        return []
    if path.suffix.lower() in (".nrrd", ".nhdr"):
        head = re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0]  # the voxels follow
    field = _DATA_FIELD.search(head)
    if field is None:
        return []
    value, *following = (os.fsdecode(line).strip() for line in head[field.start(1) :].splitlines())
    if value.upper() == "LOCAL":
        return []
    names = following if value.upper().split()[:1] == ["LIST"] else [value]
    return [name for name in names if name and "\0" not in name]


def _named(path: Path) -> list[Path]:
    """A file, or for a pattern such as `slice%03d.raw 1 20 1` every file that fits, whatever its number."""
    pattern = _PATTERN.match(path.name)
    if pattern is None:
        return [path]
    fits = re.compile(re.escape(pattern[1]) + r"-?\s*\d+" + re.escape(pattern[2]))
    return [path.with_name(name) for name in _names_in(path.parent) if fits.fullmatch(name)]


def _names_in(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder)]
    except OSError:
        return []
