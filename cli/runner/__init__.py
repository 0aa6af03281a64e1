"""Runs workflows without ComfyUI: canvas JSON to prompt to pictures."""
