"""Nodes of latent spectral decomposition (LSD)."""
