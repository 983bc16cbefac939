"""DICOM: series out of folders and zip files, and segmentations that refer to them."""
