"""Making model bundles: a new one for a task, weights of a run into it, the zip that others download."""
