"""Report values in, text for people out: terminal, HTML and the JSON envelope."""
