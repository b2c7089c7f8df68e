"""In the place of the namespace `cuda`."""
