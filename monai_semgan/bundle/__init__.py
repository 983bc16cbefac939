"""A model bundle on disk: load it, and what its files tell without its network."""
