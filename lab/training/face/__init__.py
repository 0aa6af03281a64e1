"""Training of the face model: shapes, appearance, renderer, directions."""
