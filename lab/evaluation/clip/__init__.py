"""Clips: whether edits of frames flicker, what they cost, and whether they keep up."""
