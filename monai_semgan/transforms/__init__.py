"""Intensity, geometry and augmentation; import from the modules, so that only what is used is loaded."""
