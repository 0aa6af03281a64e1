"""Nodes that mix faces."""
