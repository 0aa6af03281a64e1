"""Training data: faces, photos for the finder, digits."""
