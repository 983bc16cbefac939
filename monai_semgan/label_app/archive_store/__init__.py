"""Studies that lie in an archive which speaks DICOMweb: listed, fetched when needed, and results sent back."""
