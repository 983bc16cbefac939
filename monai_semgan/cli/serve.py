"""`semgan serve`: the MONAI Label server with the bundle, on this computer."""

from __future__ import annotations

import argparse
import importlib.util
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from monai_semgan.cli.archive_options import archive_options, scan_source, use_access
from monai_semgan.cli.arguments import model_options, note, positive_int, threads_option
from monai_semgan.dicomweb.archive_address import ArchiveAddress
from monai_semgan.errors import SemganError
from monai_semgan.label_app.server.options import ARCHIVE_ALSO, OPEN_SENTENCE, ServerOptions, read_key

PYTHON_VARIABLE = "SEMGAN_LABEL_PYTHON"
KEY_VARIABLE = "SEMGAN_API_KEY"
REPOSITORY = Path(__file__).resolve().parents[2]
SET_UP = "python3 scripts/label_environment.py"
NEEDED = "monailabel", "monai_semgan"

EPILOG = f"""\
MONAI Label lives in an environment of its own: {SET_UP} makes it.
This command finds it there (.venv-label), or in ${PYTHON_VARIABLE}.

access: the server listens on 127.0.0.1 unless --host says otherwise. With a key, from --api-key-file or
${KEY_VARIABLE}, every request has to bring it, as "X-API-Key: KEY" or "Authorization: Bearer KEY"; see
docs/label_server.md.
"""


def add_parser(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "serve",
        parents=[common],
        help="serve MONAI Label clients and 3D Slicer",
        description="Serve the bundle to MONAI Label clients and 3D Slicer, for the scans of a folder.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "studies",
        type=_studies,
        metavar="STUDIES",
        help="scans: folder with NIfTI, NRRD, MHA, folders of DICOM; or address of an archive that speaks DICOMweb",
    )
    parser.add_argument(
        "--labels", type=Path, metavar="DIR", help="labels and all that is written; default: the folder of the scans"
    )
    model_options(parser, several=True)
    threads_option(parser)
    parser.add_argument(
        "--port", type=_port, metavar="N", help="default 8000, or the next free one, which is remembered; 0: any"
    )
    parser.add_argument("--json", action="store_true", help="print address, port and process as JSON")
    parser.add_argument("--upload-limit-mb", type=positive_int, default=2048, metavar="N", help="default 2048")
    keep = parser.add_mutually_exclusive_group()
    keep.add_argument(
        "--keep-hours", type=_positive, default=24.0, metavar="N", help="of ended jobs and uploads; default 24"
    )
    keep.add_argument("--keep-days", type=_positive, metavar="N", help="the same in days")
    parser.add_argument("--disk-limit-gb", type=_positive, default=20.0, metavar="N", help="of jobs; default 20")
    group = parser.add_argument_group("access")
    group.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="default 127.0.0.1: this computer only")
    group.add_argument("--api-key-file", type=Path, metavar="FILE", help=f"holds the key (or set ${KEY_VARIABLE})")
    group.add_argument(
        "--allow-origin", type=_origin, action="append", default=[], metavar="URL", help="web page that may ask"
    )
    group.add_argument("--open-without-key", metavar="SENTENCE", help=f'for another host: "{OPEN_SENTENCE}"')
    archive_options(parser, sending=False)
    parser.add_argument(
        "--archive-cache-gb", type=_positive, default=20.0, metavar="N", help="of fetched series; default 20"
    )
    parser.add_argument(
        "--archive-cache-hours", type=_positive, default=24.0, metavar="N", help="of unused series; default 24"
    )
    parser.add_argument(
        "--archive-also",
        choices=ARCHIVE_ALSO,
        action="append",
        default=[],
        help="send this to the archive besides the segmentation of every final label",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    use_access(arguments)
    options = _options(arguments)
    if importlib.util.find_spec("monailabel") is None:
        return _run_elsewhere(_find_python())
    from monai_semgan.label_app.server.start import run as serve

    serve(options)
    return 0


def _options(arguments: argparse.Namespace) -> ServerOptions:
    sentence = arguments.open_without_key
    if sentence is not None and " ".join(sentence.split()) != OPEN_SENTENCE:
        raise SemganError("--open-without-key wants to read a sentence", remedy=f'give "{OPEN_SENTENCE}"')
    key_file: Path | None = arguments.api_key_file
    key = read_key(key_file, os.environ.get(KEY_VARIABLE))
    if key_file is not None and os.name == "posix" and key_file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        note("other users of this computer can read the file with the key: chmod 600")
    days: float | None = arguments.keep_days
    return ServerOptions(
        studies=_absolute(arguments.studies),
        labels=Path(os.path.abspath(arguments.labels)) if arguments.labels is not None else None,
        host=arguments.host,
        port=arguments.port,
        bundles=tuple(Path(os.path.abspath(bundle)) for bundle in arguments.bundle),
        device=arguments.device,
        api_key=key,
        upload_limit_mb=arguments.upload_limit_mb,
        keep_hours=arguments.keep_hours if days is None else 24 * days,
        disk_limit_gb=arguments.disk_limit_gb,
        allow_origins=tuple(arguments.allow_origin),
        open_without_key=sentence is not None,
        as_json=arguments.json,
        archive_cache_gb=arguments.archive_cache_gb,
        archive_cache_hours=arguments.archive_cache_hours,
        archive_also=tuple(dict.fromkeys(arguments.archive_also)),
    )


def _studies(text: str) -> Path | ArchiveAddress:
    """Parse a folder or an address, which may begin with `http`."""
    return scan_source(f"dicomweb:{text}" if text.lower().startswith(("http://", "https://")) else text)


def _absolute(studies: Path | ArchiveAddress) -> Path | ArchiveAddress:
    return Path(os.path.abspath(studies)) if isinstance(studies, Path) else studies


def _find_python() -> Path:
    """Return the interpreter of an environment with MONAI Label.

    Raises:
        SemganError: there is none; the message tells how to get one.
    """
    told = os.environ.get(PYTHON_VARIABLE)
    made = REPOSITORY / ".venv-label" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    python = Path(told) if told else made
    if _has_all(python):
        return python
    if told:
        raise SemganError(f"${PYTHON_VARIABLE} lacks {' or '.join(NEEDED)}", remedy=f"run {SET_UP}", path=python)
    where = f"in {REPOSITORY}" if (REPOSITORY / "scripts").is_dir() else "in a copy of the repository"
    raise SemganError("MONAI Label is not installed", remedy=f"run {SET_UP} {where}, once")


def _has_all(python: Path) -> bool:
    code = f"import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, {NEEDED!r})))"
    try:
        return subprocess.run([str(python), "-c", code], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _run_elsewhere(python: Path) -> int:
    """Run the same command under another interpreter."""
    command = [str(python), "-m", "monai_semgan", *sys.argv[1:]]
    if os.name == "posix":
        sys.stdout.flush()
        os.execv(command[0], command)  # Ctrl-C and signals reach the server itself
    return subprocess.run(command).returncode


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _origin(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or "*" in text:
        raise argparse.ArgumentTypeError(f"{text} is not an origin such as https://viewer.example")
    return text


for _type, _name in ((_port, "port"), (_positive, "positive number"), (_origin, "origin")):
    _type.__name__ = _name  # argparse names the type in its message
