"""The data directory at rest: making one of a backup, and examining one without changing it."""
