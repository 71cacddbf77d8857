"""Fakes behind the seams of labctl, for tests. No room of the product imports them."""
