"""The server behind `semgan serve`: MONAI Label's API with its holes closed, and the job API."""
