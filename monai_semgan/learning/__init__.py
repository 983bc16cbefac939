"""New structures, and better old ones, from a few labelled scans, beside weights that nobody touches."""
