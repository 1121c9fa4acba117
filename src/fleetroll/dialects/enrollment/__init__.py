"""The DMS manager and the slice of the CA API that Lamassu's interfaces call."""
