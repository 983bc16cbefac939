"""How far a segmentation can be trusted: quality features, out-of-domain score, anatomy."""
