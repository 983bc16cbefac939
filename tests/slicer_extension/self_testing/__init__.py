"""Tests of `SemGANLib/SelfTesting`."""
