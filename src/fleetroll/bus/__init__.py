"""NATS: the embedded broker, the accounts on it, and what travels through them."""
