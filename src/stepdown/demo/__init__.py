"""The demo: a bundled project taken through the whole loop."""
