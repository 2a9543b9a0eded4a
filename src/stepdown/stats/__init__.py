"""Arrays in, numbers out: intervals, bounds, certification tests, calibration and power.

It does not know tasks, tiers or policies: rows are numbers, a group is an integer code.
"""
