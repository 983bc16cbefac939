"""Tests of `SemGANLib/Scene`."""
