"""Latent vector arithmetic."""
