"""Nodes that make and combine directions."""
