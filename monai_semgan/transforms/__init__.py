"""MONAI dictionary transforms that the configurations of bundles name."""
