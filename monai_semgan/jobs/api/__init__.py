"""Routes of the job API, and what they answer."""
