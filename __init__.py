"""Face-editing nodes for ComfyUI."""
