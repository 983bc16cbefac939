"""Helpers without knowledge of images."""
