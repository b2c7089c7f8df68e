"""`python -m pix2rt`: the command `pix2rt`."""

from runtime.__main__ import main

if __name__ == "__main__":
    main()
