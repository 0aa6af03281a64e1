"""Measures of the face finder."""
