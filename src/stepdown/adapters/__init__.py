"""Everything that touches the world; each folder is a stranger to the others."""
