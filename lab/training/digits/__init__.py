"""Training of the digits model."""
