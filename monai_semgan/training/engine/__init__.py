"""The loop around a stage: schedule, checkpoints, records, processes."""
