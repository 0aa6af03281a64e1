"""Nodes that load models, encode, decode, and put faces back."""
