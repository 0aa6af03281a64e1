"""Comparisons with reference implementations outside the project."""
