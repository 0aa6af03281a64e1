"""The face model: pose, shape and appearance apart, on dense landmarks."""
