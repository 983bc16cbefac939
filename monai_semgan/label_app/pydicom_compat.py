"""Lets pydicom-seg 0.4.1, which MONAI Label 0.8.5 imports at its start, run beside pydicom 3.

pydicom 3 moved the UIDs of storage classes from `pydicom._storage_sopclass_uids` to `pydicom.uid`. `install` makes the
old name work in this process. `python -m monai_semgan.label_app.pydicom_compat` makes it work in every process of the
environment, which `monailabel start_server` and its subprocesses need.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

OLD_NAME = "pydicom._storage_sopclass_uids"
PTH_FILE = "zz_semgan_pydicom_compat.pth"
PTH_LINE = "import monai_semgan.label_app.pydicom_compat as c; c.install()\n"
"""Run by Python's `site` at every start; the name sorts behind those that make the package importable."""


class StorageUidFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the module that pydicom 3 lacks; imports pydicom only when somebody asks for that module."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return a specification for the old name, nothing for all others."""
        return importlib.util.spec_from_loader(fullname, self) if fullname == OLD_NAME else None

    def exec_module(self, module: ModuleType) -> None:
        """Fill the module with the storage classes of `pydicom.uid`."""
        import pydicom.uid

        for name in dir(pydicom.uid):
            if name.endswith("Storage"):
                setattr(module, name, getattr(pydicom.uid, name))


def install() -> None:
    """Make the old name importable in this process; a pydicom that has it is asked first."""
    if not any(isinstance(finder, StorageUidFinder) for finder in sys.meta_path):
        sys.meta_path.append(StorageUidFinder())


def install_for_environment() -> Path:
    """Make the old name importable in every process of the running interpreter's environment.

    Returns:
        The file that was written.
    """
    path = Path(sysconfig.get_paths()["purelib"]) / PTH_FILE
    path.write_text(PTH_LINE, encoding="ascii")
    return path


if __name__ == "__main__":
    sys.stdout.write(f"wrote {install_for_environment()}\n")
