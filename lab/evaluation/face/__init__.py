"""Measures of the face model on people kept from training."""
