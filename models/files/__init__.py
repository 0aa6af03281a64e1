"""Safetensors files: headers, tensors, latents, directions."""
