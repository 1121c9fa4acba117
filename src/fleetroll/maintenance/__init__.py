"""The data directory at rest: making one from a backup, and examining one without changing it."""
