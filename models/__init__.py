"""Face models: networks, checkpoints, alignment, and the values that nodes exchange."""
