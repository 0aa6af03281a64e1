"""Training, evaluation and benchmarks: needs a checkout, is no part of the published pack."""
