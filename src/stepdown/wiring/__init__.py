"""The composition root: joins ports to adapters. Only this room knows both sides."""
