"""`python -m training`: one command per family, made from its `Options`, and those that prepare and judge runs."""

import training.own_packages  # noqa: F401  its check goes before all other imports of ours
from training.commands.console import app


def main() -> None:
    app(prog_name="python -m training")


if __name__ == "__main__":
    main()
