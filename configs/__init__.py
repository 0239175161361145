"""Configuration files; ``default.toml`` holds every key with its default, unit and meaning."""
