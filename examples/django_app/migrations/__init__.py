"""The project's tables."""
