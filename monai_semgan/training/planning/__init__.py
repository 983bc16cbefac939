"""The plan of a run: what the data of a list tell about how to train on them, and a page to look at before that."""
