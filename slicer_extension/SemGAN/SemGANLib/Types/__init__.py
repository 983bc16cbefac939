"""What the server sends and is sent, as plain data. Fields that this version does not know are ignored."""
