"""Models: adapters that fill `ports.model.Model`."""
