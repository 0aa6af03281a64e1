"""The `face-latents` command: the stand-alone workflow runner and its siblings."""
