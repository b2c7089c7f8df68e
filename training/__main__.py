"""`python -m training`: one command per family, made from its `Options`, and those that prepare and judge runs."""

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.text import Text

from runtime.errors import Pix2rtError
from training.commands import ablation, completion, data, evaluate, inpainting  # noqa: F401  each adds its commands
from training.commands.console import app
from training.commands.train import add_family
from training.errors import DivergenceError
from training.networks import FAMILIES


def run(command: Callable[[], Any]) -> None:
    """Run with the project's exit codes: 2 for a user's mistake (one line, no traceback), 130 when interrupted."""
    try:
        command()
    except Pix2rtError as error:
        message = str(error)
        if "Traceback" in message:  # of a loader process; what it said is the last paragraph
            message = message.rpartition("Error: ")[2]
        Console(stderr=True).print(Text(f"error: {message.strip()}", style="red"), soft_wrap=True)
        raise SystemExit(1 if isinstance(error, DivergenceError) else 2) from None
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted; run the same command again to resume")
        raise SystemExit(130) from None


for _family in FAMILIES:
    add_family(_family)


def main() -> None:
    run(lambda: app(standalone_mode=True))


if __name__ == "__main__":
    main()
