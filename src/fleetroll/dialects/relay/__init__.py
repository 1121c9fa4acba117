"""The RelayX device API, over NATS."""
