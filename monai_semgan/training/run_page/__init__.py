"""What people look at while a training runs: `run.html` and `progress.png` of a run."""
