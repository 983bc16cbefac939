"""`semgan serve` as a command: what it refuses, which interpreter it takes. Servers that run: tests/label_app."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from monai_semgan.cli.program import main
from monai_semgan.errors import SemganError
from monai_semgan.label_app.server.options import OPEN_SENTENCE, ServerOptions, check_access, read_key
from monai_semgan.utils.hosts import is_loopback
from tests.conftest import REPOSITORY

KEY = "correct-horse-battery-staple"


def test_without_monai_label_one_line_names_the_command(tmp_path: Path) -> None:
    python = tmp_path / "python"  # an interpreter that has nothing
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    code = "import sys; sys.modules['monailabel'] = None; from monai_semgan.cli import main; sys.exit(main())"
    run = subprocess.run(
        [sys.executable, "-c", code, "serve", str(tmp_path)],
        cwd=REPOSITORY,
        env={**os.environ, "SEMGAN_LABEL_PYTHON": str(python)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 2 and run.stderr.count("\n") == 1
    assert "scripts/label_environment.py" in run.stderr and not run.stdout


@pytest.mark.skipif(os.name != "posix", reason="an interpreter made of a shell script")
def test_the_interpreter_that_was_told_runs_the_same_command(tmp_path: Path) -> None:
    python, told = tmp_path / "python", tmp_path / "told.txt"
    python.write_text(f'#!/bin/sh\n[ "$1" = "-c" ] && exit 0\nprintf "%s\\n" "$@" > "{told}"\n')
    python.chmod(0o755)
    code = "import sys; sys.modules['monailabel'] = None; from monai_semgan.cli import main; sys.exit(main())"
    run = subprocess.run(
        [sys.executable, "-c", code, "serve", str(tmp_path), "--port", "0", "--json"],
        cwd=REPOSITORY,
        env={**os.environ, "SEMGAN_LABEL_PYTHON": str(python)},
        timeout=120,
    )
    assert run.returncode == 0
    assert told.read_text().splitlines() == ["-m", "monai_semgan", "serve", str(tmp_path), "--port", "0", "--json"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--port", "70000"], "port"),
        (["--port", "http"], "port"),
        (["--keep-days", "0"], "positive"),
        (["--disk-limit-gb", "nan"], "positive"),
        (["--upload-limit-mb", "-1"], "positive"),
        (["--allow-origin", "*"], "origin"),
        (["--allow-origin", "https://viewer.example/path"], "origin"),
        (["--open-without-key", "yes"], OPEN_SENTENCE),
        (["--api-key-file", "no-such-file"], "key"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_one_line(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", str(tmp_path), *options]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and "Traceback" not in error


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "LocalHost"])
def test_addresses_of_this_computer_need_no_key(host: str, tmp_path: Path) -> None:
    assert is_loopback(host)
    check_access(ServerOptions(tmp_path, host=host), tokens=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "workstation", "127.0.0.1.example", ""])
def test_other_addresses_need_a_key_a_login_or_a_sentence(host: str, tmp_path: Path) -> None:
    with pytest.raises(SemganError, match=OPEN_SENTENCE):
        check_access(ServerOptions(tmp_path, host=host), tokens=False)
    check_access(ServerOptions(tmp_path, host=host, api_key=KEY), tokens=False)
    check_access(ServerOptions(tmp_path, host=host), tokens=True)
    check_access(ServerOptions(tmp_path, host=host, open_without_key=True), tokens=False)


def test_a_key_and_a_login_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(SemganError, match="choose one"):
        check_access(ServerOptions(tmp_path, api_key=KEY), tokens=True)


def test_the_key_comes_from_the_file_or_else_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"  {KEY}\n")
    assert read_key(file, "another-key-in-the-environment") == KEY
    assert read_key(None, KEY) == KEY
    assert read_key(None, None) is None and read_key(None, "") is None
    assert KEY not in repr(ServerOptions(tmp_path, api_key=KEY))


@pytest.mark.parametrize("key", ["short", "", "with spaces in the middle", "schlüssel-mit-umlauten", "x" * 20 + "\0"])
def test_keys_that_are_no_keys_are_refused(key: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(key)
    with pytest.raises(SemganError, match="at least 16 characters"):
        read_key(file, None)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_key_is_read_as_editors_and_shells_of_windows_write_it(encoding: str, tmp_path: Path) -> None:
    from monai_semgan.label_app.server.options import read_key

    (tmp_path / "key").write_bytes("0123456789abcdef0123456789abcdef\r\n".encode(encoding))
    assert read_key(tmp_path / "key", None) == "0123456789abcdef0123456789abcdef"


ARCHIVE_AND_VIEWER = ("8042", "3000")
"""Where Orthanc listens unless told otherwise, and where docs/viewers.md serves OHIF: other programs than ours."""


def test_every_page_panel_and_example_names_the_one_address() -> None:
    from monai_semgan.label_app.server.listening import USUAL_PORT

    folders = ("docs", "slicer_extension", "examples", "scripts", "benchmarks", "monai_semgan")
    files = [REPOSITORY / "README.md"]
    files += [path for folder in folders for path in (REPOSITORY / folder).rglob("*")]
    named = {
        (path.name, port)
        for path in files
        if path.suffix in (".md", ".py", ".ui")
        for port in re.findall(r"(?:127\.0\.0\.1|localhost):(\d+)", path.read_text(encoding="utf-8"))
        if port not in ARCHIVE_AND_VIEWER
    }
    assert {port for _, port in named} == {str(USUAL_PORT)}
    assert {"README.md", "SemGAN.ui", "Address.py", "label_server.md"} <= {name for name, _ in named}
