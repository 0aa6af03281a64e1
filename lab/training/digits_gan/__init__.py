"""Training of an unconditional GAN of digits, and of encoders for it."""
