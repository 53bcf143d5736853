"""Takes secrets out of what is written or shown: known values in all their forms, and keys by shape."""
