"""Tests of `SemGANLib/Runs`."""
