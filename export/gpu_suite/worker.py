"""The process of one stage: `python -m export.gpu_suite.worker STAGE SETTINGS`. Results go to standard output, a line
of JSON each, whatever else libraries print there.
"""

import json
import os
import sys
from typing import Any

from export.gpu_suite.settings import Settings
from export.gpu_suite.stages import STAGES

MARK = "@result "


def main() -> None:
    """Run the stage that is named; its failure is this process's."""
    name, text = sys.argv[1:]
    stage = next(stage for stage in STAGES if stage.name == name)
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(key: str, value: Any) -> None:
        print(f"{MARK}{json.dumps([key, value])}", file=output, flush=True)

    stage.run(Settings.from_json(text), tell)


if __name__ == "__main__":
    main()
