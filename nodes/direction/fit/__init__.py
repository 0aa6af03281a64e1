"""Directions fitted to groups of faces: from images, folders or a table."""
