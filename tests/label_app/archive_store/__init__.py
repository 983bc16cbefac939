"""The label server on an archive."""
