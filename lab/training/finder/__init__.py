"""Training of the face finder."""
