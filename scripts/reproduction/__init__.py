"""What `scripts/reproduce.py` consists of."""
