"""Every command block of every page, run in order in a folder that holds what a reader would bring. Nightly."""
