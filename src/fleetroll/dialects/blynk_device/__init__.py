"""Blynk's device HTTPS API: what a device says with nothing but its token and a URL."""
