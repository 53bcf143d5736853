"""Says what is wrong and what to do about it: probes that only read, repairs, recovery, the footprint."""
