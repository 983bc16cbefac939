"""Tests of `SemGANLib/Datastore`."""
