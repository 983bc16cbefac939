"""Data lists and the slices that training draws from."""

from typing import TYPE_CHECKING

from monai_semgan._moved import moved_names

if not TYPE_CHECKING:  # names of 0.1
    __getattr__ = moved_names(__name__)
