"""Honest figures: overlap and distance per organ and patient, and the check for memorised patients."""
