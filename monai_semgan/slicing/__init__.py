"""From a volume on any grid to slices of fixed size, and back to exactly the grid of the volume."""
