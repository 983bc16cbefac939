"""Losses: adversarial, regularisers, reconstruction objectives, labels."""
