"""The processes that compute jobs."""
