"""Packages and data: everything else stands in setup.cfg.

The model bundles live at the top of the repository, as MONAI's model zoo wants them; a wheel carries them as data of
the package `monai_semgan.bundles`. That mapping is what setup.cfg cannot say beside automatic discovery.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["monai_semgan", "monai_semgan.*"]), "monai_semgan.bundles"],
    package_dir={"monai_semgan.bundles": "bundles"},
    package_data={
        "monai_semgan": [
            "py.typed",
            "outputs/report/*.html",
            "training/planning/plan.html",
            "training/run_page/run.html",
        ],
        "monai_semgan.bundles": ["*/LICENSE", "*/configs/*", "*/docs/*", "*/models/model.pt", "*/models/*.json"],
    },
)
