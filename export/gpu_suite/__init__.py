"""What a machine with an NVIDIA GPU is asked, in one go and without a network: does it run, is it right, how fast.

`python -m export gpu-suite -o gpu.json` runs stage after stage, each in a process of its own with a time limit, and
writes the file after every figure: a stage that fails, hangs or is killed leaves the others.
"""
