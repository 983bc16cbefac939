"""CMake reads the extension's files as far as it goes without 3D Slicer: a package that only notes what it is told."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
MODULE = REPOSITORY / "slicer_extension" / "SemGAN"

CONFIG = """
set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/Use.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/Generate.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/Pack.cmake")
"""

USE = """
function(note)
  file(APPEND "${CMAKE_BINARY_DIR}/noted.txt" "${ARGN}\\n")
endfunction()
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MODULE "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MODULE_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "unknown: ${MODULE_UNPARSED_ARGUMENTS}")
  endif()
  note("name" ${MODULE_NAME})
  note("scripts" ${MODULE_SCRIPTS})
  note("resources" ${MODULE_RESOURCES})
endmacro()
macro(slicer_add_python_unittest)
  note("test" ${ARGN})
endmacro()
"""

GENERATE = """
note("extension" ${PROJECT_NAME} "${EXTENSION_HOMEPAGE}" "${EXTENSION_CATEGORY}" "${EXTENSION_DEPENDS}")
note("contributors" "${EXTENSION_CONTRIBUTORS}")
note("description" "${EXTENSION_DESCRIPTION}")
"""


@pytest.fixture(scope="module")
def noted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What Slicer's macros would have been told, by the first word."""
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    package, build = tmp_path_factory.mktemp("package"), tmp_path_factory.mktemp("build")
    files = {"SlicerConfig.cmake": CONFIG, "Use.cmake": USE, "Generate.cmake": GENERATE, "Pack.cmake": 'note("pack")\n'}
    for name, text in files.items():
        (package / name).write_text(text)
    command = ["cmake", "-S", REPOSITORY, "-B", build, f"-DSlicer_DIR={package}", "-DBUILD_TESTING=ON"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    lines = [line.split(";") for line in (build / "noted.txt").read_text().splitlines()]
    return {first: rest for first, *rest in lines}


def test_the_module_is_built_and_packed(noted: dict[str, list[str]]) -> None:
    assert noted["name"] == ["SemGAN"]
    assert "pack" in noted
    assert noted["test"] == ["SCRIPT", "SemGAN.py"]


def test_the_extension_describes_itself(noted: dict[str, list[str]]) -> None:
    name, homepage, category, depends = noted["extension"]
    assert (name, category, depends) == ("SemGAN", "Segmentation", "NA")
    assert homepage.startswith("https://")
    assert noted["contributors"][0]
    assert "not for clinical use" in noted["description"][0] and "Apache" in noted["description"][0]


def test_every_python_file_is_installed(noted: dict[str, list[str]]) -> None:
    there = {path.relative_to(MODULE).as_posix() for path in MODULE.rglob("*.py")}
    assert set(noted["scripts"]) == there
    assert len(noted["scripts"]) == len(there)


def test_every_resource_is_installed(noted: dict[str, list[str]]) -> None:
    resources = MODULE / "Resources"
    there = {path.relative_to(MODULE).as_posix() for path in resources.rglob("*") if path.is_file()}
    assert set(noted["resources"]) == there


def test_configuring_without_slicer_says_what_is_missing(tmp_path: Path) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    done = subprocess.run(["cmake", "-S", REPOSITORY, "-B", tmp_path], capture_output=True, text=True)
    assert done.returncode != 0 and "Slicer" in done.stderr
