"""Losses of training: adversarial, regularisers, labels."""
