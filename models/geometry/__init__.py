"""Points and plane transforms: alignment templates and similarities."""
