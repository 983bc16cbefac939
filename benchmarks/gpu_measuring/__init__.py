"""What `benchmarks/gpu.py` measures. PyTorch and the package are imported in functions: they may be carried along."""
