"""The legacy network controller."""
