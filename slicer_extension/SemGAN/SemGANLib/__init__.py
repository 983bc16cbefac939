"""Library of the 3D Slicer module SemGAN: a client of the job API, and what turns its results into MRML nodes.

Needs nothing but the standard library to be imported; numpy, vtk and slicer are loaded by what uses them.
"""
