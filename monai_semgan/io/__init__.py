"""Read and write volumes and labels."""
