"""What the configurations of bundles name, and nothing else."""
