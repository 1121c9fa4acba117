"""Lamassu's device manager, `/api/devmanager`."""
