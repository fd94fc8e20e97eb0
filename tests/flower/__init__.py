"""Flower in a real browser."""
