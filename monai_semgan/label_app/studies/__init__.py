"""The folder of studies: which scans there are, under which ids, what is noted of them, and what is left out."""
