"""The Memfault device API."""
