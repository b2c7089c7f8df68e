"""Checkpoints that other projects made, turned into ours. One file a project."""
