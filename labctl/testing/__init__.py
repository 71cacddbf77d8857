"""Fakes behind the protocols of labctl, for tests. Product code never imports this package."""
