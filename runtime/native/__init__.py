"""Convolutional networks on a CPU, by kernels of our own in C. See README.md."""
