"""Keys that agents need: encrypted files, who can read them, and where else a value is looked for."""
