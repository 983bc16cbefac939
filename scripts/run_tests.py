"""Install with the test tools into `.venv`, then run ruff, mypy and all tests.

    python3 scripts/run_tests.py                  # everything
    python3 scripts/run_tests.py tests/data -k oblique

Tests on real data run where $SEMGAN_DATA names a folder with `abdomen_ct` and `abdomen_mr_t2`.
"""

from __future__ import annotations

import os
import subprocess
import sys

from environment import REPOSITORY, prepare

CHECKS = (("ruff", "check", "."), ("mypy",))


def main() -> int:
    """Install, check, test; the exit code is that of the first that failed."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return 0
    python = prepare("test")
    failures = []
    for name, *arguments in CHECKS:
        print(f"{name} ...", flush=True)
        failures.append(subprocess.run([str(python), "-m", name, *arguments], cwd=REPOSITORY).returncode)
    failures.append(_pytest(str(python), sys.argv[1:]))
    return next((code for code in failures if code), 0)


def _pytest(python: str, arguments: list[str]) -> int:
    """All tests, two at a time; each computes with one thread, which is faster for small networks."""
    workers = min(4, os.cpu_count() or 1)
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    command = [python, "-m", "pytest", "-q", "-n", str(workers), "--dist", "loadfile", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, env=environment).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
