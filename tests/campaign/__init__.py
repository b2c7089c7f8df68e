"""A campaign against the readers: files of every kind, damaged in every way, and nothing but documented errors.

`python -m tests.campaign --count 50000` for a night, `--seconds 60` for a minute; see `--help`.
"""
