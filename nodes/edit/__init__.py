"""Nodes that move faces along directions."""
