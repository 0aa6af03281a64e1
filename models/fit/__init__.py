"""Directions fitted to labelled faces, or found in codes and weights."""
