"""Reading, listing, caching and writing of volumes; import from the modules, so that only what is used is loaded."""
