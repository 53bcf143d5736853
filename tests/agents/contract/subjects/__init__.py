"""One module per adapter, each with its SUBJECTS."""
