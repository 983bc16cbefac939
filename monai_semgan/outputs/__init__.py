"""Every file that a segmentation leaves."""
