"""What lies in the MRML scene: volumes, segmentations, maps, views, choices and records of results."""
