"""Archives of DICOM (PACS) that speak DICOMweb: listing and fetching series, and storing results beside them."""
