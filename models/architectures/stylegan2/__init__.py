"""StyleGAN2 generators, with or without e4e or pSp encoders."""
