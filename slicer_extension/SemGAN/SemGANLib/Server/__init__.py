"""What is said to the server: addresses, requests, answers, NRRD files."""
