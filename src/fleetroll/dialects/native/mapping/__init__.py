"""Translates between the bodies of our own API and the inputs and results of operations, noun by noun.

Pure; raises nothing but Fault.
"""
