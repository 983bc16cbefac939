"""Images and labels of the server's datastore."""
