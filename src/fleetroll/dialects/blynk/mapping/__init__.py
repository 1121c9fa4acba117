"""Translates between Blynk's parameters and bodies and the inputs and results of operations, noun by noun.

Pure; raises nothing but Fault.
"""
