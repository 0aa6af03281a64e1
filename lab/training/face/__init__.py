"""Training of the bundled face model."""
