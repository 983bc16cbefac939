"""Many scans: found, segmented one after the other or by several processes and machines, and summed up in a table."""
