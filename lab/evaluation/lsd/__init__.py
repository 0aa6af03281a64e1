"""Measures of latent spectral decomposition."""
