"""Segment a volume: preview, inversion and both together; synthetic patients."""
