"""Thousands of photos through `face-latents run`: what goes wrong on purpose, and what it costs."""
