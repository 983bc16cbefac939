"""Data lists and the slices that training draws from."""
