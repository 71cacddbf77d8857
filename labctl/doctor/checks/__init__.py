"""The checks of doctor. Each tries one thing of this machine and names the fix; none changes anything."""
