"""The Telemetron device API."""
