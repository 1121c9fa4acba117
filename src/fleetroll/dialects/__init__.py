"""The device APIs that the registry speaks, one package each."""
