"""What the directions of the face model change, for its training and its evaluation."""
