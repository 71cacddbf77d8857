"""Checks of what the containerlab runtime needs: engine, containerlab, images."""
