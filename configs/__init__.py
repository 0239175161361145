"""The configuration files; ``default.toml`` holds every key, its default and its unit."""
