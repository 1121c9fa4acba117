"""Between the device manager's bodies and the inputs and results of operations. Pure; raises nothing but Fault.

A profile decides how statuses are spelled on the way out; on the way in each spelling is taken.
"""
