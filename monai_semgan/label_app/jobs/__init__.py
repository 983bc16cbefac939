"""Jobs: segmentations that a server runs in processes of their own, with progress, partial results and cancel."""
