"""Encoders that fill the Encoder port: a small transformer, and static vectors that ship inside."""
