"""`stepdown.toml`: intent, written by people. TOML in, frozen values out; unknown keys are errors."""
