"""Fleetroll's own API."""
