"""Eval: one set of samples, one scorer, every tier, and the smallest tier that passes.

It hands values to its caller; it reads no file, prints nothing and knows no provider.
"""
