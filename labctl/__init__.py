"""labctl: a lab of real routers from one file, faults under traffic, and a verdict with numbers."""

__version__ = "0.1.0"
