"""Training of the dense landmarks' network."""
