"""Install with the test tools, then run ruff, mypy, the import contracts and all tests.

    python3 scripts/run_tests.py                  # everything: three environments, about 10 GB of disk
    python3 scripts/run_tests.py --core           # without the label server and the extension of 3D Slicer
    python3 scripts/run_tests.py tests/data -k oblique

The package is tested in `.venv`, the label server in `.venv-label` (MONAI Label), the extension in `.venv-slicer` (the
core of 3D Slicer). Tests on real data run where $SEMGAN_DATA names a folder with `abdomen_ct` and `abdomen_mr_t2`;
those of web pages where `chromium` and `chromedriver` are installed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from environment import CORE, LABEL, REPOSITORY, SLICER, Environment, prepare

IMPORT_LINTER = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
CHECKS = (("ruff", "-m", "ruff", "check", "."), ("mypy", "-m", "mypy"), ("import contracts", "-c", IMPORT_LINTER))
"""Name and arguments of the interpreter."""

SHARING = ("--dist", "loadfile", "--no-loadscope-reorder")
"""A file's tests share servers and models, so one process runs them; files in the order of `tests/conftest.py`."""


@dataclass(frozen=True)
class Suite:
    """Tests that share an environment.

    Attributes:
        name: for people.
        environment: where they run.
        extra: optional part of the package that they need.
        folders: where they lie; those of other suites may lie below them.
        options: for pytest, beside those of all suites.
        parallel: how many processes, at most: servers of tests need memory.
        servers: further environment with its part of the package, whose programs the tests start.
    """

    name: str
    environment: Environment
    extra: str
    folders: tuple[str, ...]
    options: tuple[str, ...] = ()
    parallel: int = 2
    servers: tuple[tuple[Environment, str], ...] = ()

    @property
    def environments(self) -> tuple[tuple[Environment, str], ...]:
        """All that the tests need, each with its part of the package."""
        return ((self.environment, self.extra), *self.servers)


LABEL_SUITE = Suite("label server", LABEL, "labeltest", ("tests/label_app", "tests/jobs"))
SLICER_SUITE = Suite(
    "extension of 3D Slicer", SLICER, "", ("tests/slicer_extension",), servers=((LABEL, LABEL_SUITE.extra),)
)
OTHERS = (*SLICER_SUITE.folders, *LABEL_SUITE.folders)
CORE_SUITE = Suite(
    "package",
    CORE,
    "test",
    ("tests",),
    tuple(f"--ignore={folder}" for folder in OTHERS),
    parallel=4,
)
SUITES = (SLICER_SUITE, LABEL_SUITE, CORE_SUITE)
"""The largest comes last, so that its summary ends the output."""


def main(arguments: list[str]) -> int:
    """Install, check, test; the exit code is that of the first that failed."""
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so in the background; tests of Ctrl-C would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    suites = (CORE_SUITE,) if "--core" in arguments else chosen(arguments)
    rest = [argument for argument in arguments if argument != "--core"]
    failures = []
    with ThreadPoolExecutor() as pool:
        coming = _prepared(suites, pool)
        if CORE_SUITE in suites:  # while the other environments are made
            failures += _checks(coming[CORE.name].result())
        interpreters = {name: future.result() for name, future in coming.items()}
    for suite in suites:
        print(f"tests of the {suite.name} ...", flush=True)
        failures.append(_pytest(suite, interpreters[suite.environment.name], rest))
    return next((code for code in failures if code), 0)


def _prepared(suites: tuple[Suite, ...], pool: ThreadPoolExecutor) -> dict[str, Future[Path]]:
    """Make the environments of suites, all at once: the interpreters to come, by the name of the environment."""
    wanted = {environment.name: (extra, environment) for suite in suites for environment, extra in suite.environments}
    if len(wanted) > 1:
        os.environ.setdefault("PIP_PROGRESS_BAR", "off")  # several would overwrite each other
    return {name: pool.submit(prepare, extra, environment) for name, (extra, environment) in wanted.items()}


def _checks(python: Path) -> list[int]:
    """Exit codes of all that is no test."""
    codes = []
    for name, *options in CHECKS:
        print(f"{name} ...", flush=True)
        codes.append(subprocess.run([str(python), *options], cwd=REPOSITORY).returncode)
    return codes


def chosen(arguments: list[str]) -> tuple[Suite, ...]:
    """The suites of the paths among the arguments; all without a path."""
    paths = [argument for argument in arguments if argument.startswith("tests")]
    found = tuple(next(suite for suite in SUITES if path.startswith(suite.folders)) for path in paths)
    return tuple(suite for suite in SUITES if suite in found) if found else SUITES


def _pytest(suite: Suite, python: Path, arguments: list[str]) -> int:
    """Tests of a suite; each process computes with one thread, which is faster for small networks."""
    workers = min(suite.parallel, os.cpu_count() or 1)
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    options = [*suite.options, "-n", str(workers), *SHARING]
    paths = [argument for argument in arguments if argument.startswith(suite.folders)]
    paths = [path for path in paths if suite is not CORE_SUITE or chosen([path]) == (CORE_SUITE,)]
    others = [argument for argument in arguments if not argument.startswith("tests")]
    command = [str(python), "-m", "pytest", "-q", *options, *(paths or suite.folders), *others]
    return subprocess.run(command, cwd=REPOSITORY, env=environment).returncode


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
