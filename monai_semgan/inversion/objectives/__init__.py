"""Objectives of the inversion: how far a rendering is from the slice that it shall explain."""
