"""Inversion: find the latent codes that render given slices, and read the labels that the same codes render."""

from __future__ import annotations
