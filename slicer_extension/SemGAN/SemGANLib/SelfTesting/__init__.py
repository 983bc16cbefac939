"""The self test that runs inside 3D Slicer, with a server in memory."""
