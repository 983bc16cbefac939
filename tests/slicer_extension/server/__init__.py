"""Tests of `SemGANLib/Server`."""
