"""Active learning: which image a reader should label next."""
