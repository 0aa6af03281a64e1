"""Photo files with all that is in them: read together with the pixels, and written back."""
