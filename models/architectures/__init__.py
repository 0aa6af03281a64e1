"""Architectures of face models."""
