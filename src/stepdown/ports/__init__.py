"""The shapes that adapters fill: small Protocols over core values, one module a port."""
