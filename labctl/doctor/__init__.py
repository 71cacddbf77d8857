"""What this machine can do, what is missing, and the exact fix."""
