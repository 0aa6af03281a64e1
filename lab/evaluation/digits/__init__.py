"""Measures of the digits model."""
