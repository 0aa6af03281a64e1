"""Files, workflows and requests made to do harm: what becomes of them."""
