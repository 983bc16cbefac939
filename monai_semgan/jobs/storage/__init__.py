"""What jobs keep on disk: uploads, results, quotas and who may see what."""
