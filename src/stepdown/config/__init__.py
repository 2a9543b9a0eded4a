"""`stepdown.toml`: intent, written by people. TOML in, values out; unknown keys are errors."""
