"""Serve: carry out the locked policies, one request at a time."""
