"""The Attribute Sliders node and its live preview."""
