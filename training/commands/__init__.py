"""The commands of `python -m training`, one file a subject; `training/__main__.py` puts them together."""
