"""Nodes that measure and chart faces."""
