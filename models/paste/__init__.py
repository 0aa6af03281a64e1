"""What an edit of a face does to its photo."""
