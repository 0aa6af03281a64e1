"""Nodes that save and load, and the names of files."""
