"""Evaluation of face models."""
