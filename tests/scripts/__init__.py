"""Tests of what lies in `scripts/` and `benchmarks/`."""
