"""The families in training: options, presets, losses and step of one system a file (see training/system.py)."""
