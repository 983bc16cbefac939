"""Augmentation of training batches: contrast, geometry, and what the discriminators see."""
