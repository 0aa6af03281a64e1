"""The face finder: faces and their five points in photos of any size."""
