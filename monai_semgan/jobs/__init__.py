"""The job API: segmentations with progress, partial results and cancel; FastAPI, without MONAI Label."""
