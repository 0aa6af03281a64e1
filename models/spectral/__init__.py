"""Quasi-eigen bases and maps of what does not fit them (LSD)."""
