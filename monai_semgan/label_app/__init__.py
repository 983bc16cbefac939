"""MONAI Label app: the folder for `monailabel start_server --app`, and what stands behind its `main.py`."""
