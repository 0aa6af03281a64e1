"""Tensors in PyTorch files, read without running their pickles."""
