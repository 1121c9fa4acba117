"""Certificates: authorities that issue them, requests for them, and what they say. The only user of X.509."""
