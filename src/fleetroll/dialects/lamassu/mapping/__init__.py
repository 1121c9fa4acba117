"""Translates between the device manager's bodies and operations' inputs and results. Pure; raises nothing but Fault.

A profile decides how statuses are spelled on the way out; on the way in, either spelling is taken.
"""
