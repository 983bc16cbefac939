"""Tests of the module's panel: real Qt off-screen, real MRML scene, Slicer's Qt side by stand-ins."""
