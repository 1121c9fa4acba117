"""Translates between the bodies of Lamassu's DMS manager and CA and the operations of enrolment, noun by noun.

Pure; raises nothing but Fault.
"""
