"""One YAML file becomes frozen settings, or a list of every error with its place."""
