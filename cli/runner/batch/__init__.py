"""Many photos: what is done, what is left, and who works on it."""
