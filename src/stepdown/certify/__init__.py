"""Certify: find the cheapest policy that keeps the promise, on rows not used to choose it."""
