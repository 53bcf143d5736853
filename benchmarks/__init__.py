"""Measures what the product promises on speed: ratios to a floor that is timed in the same run."""
