"""Files in and out: pictures, masks, videos. Here is what the command line needs before it reads one."""

DEFAULT_MEGAPIXELS = 200.0  # larger pictures are refused
