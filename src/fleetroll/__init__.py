"""Fleetroll: one IoT device registry that speaks several published device APIs."""

__version__ = "0.1.0"
