"""Command line of the campaign. Exit code 1 where something else than a documented error came out."""

import argparse
import sys
import time
from pathlib import Path

from tests.campaign.campaign import Campaign, Finding
from tests.campaign.kinds import KINDS

_ENDLESS = float("inf")


def main() -> int:
    options = _options()
    kinds = [KINDS[name] for name in options.kinds.split(",")]
    for kind in kinds:
        if kind.missing:
            print(f"{kind.name}: skipped, {', '.join(kind.missing)} not installed")
    kinds = [kind for kind in kinds if not kind.missing]
    campaign = Campaign(kinds, options.seed, options.keep)
    begin = options.case if options.case is not None else 0
    count = 1 if options.case is not None else -(-options.count // max(len(kinds), 1))
    started = time.monotonic()
    seconds = options.seconds or _ENDLESS
    try:
        campaign.run(range(begin, begin + count), seconds=seconds, workers=options.workers, tell=_tell)
    except KeyboardInterrupt:
        print("interrupted")
    total = sum(campaign.counts.values())
    print(f"{total} damaged files in {time.monotonic() - started:.0f} s, {len(campaign.findings)} findings")
    print(", ".join(f"{name} {number}" for name, number in campaign.counts.items()))
    return 1 if campaign.findings else 0


def _tell(finding: Finding) -> None:
    seed = finding.file.name.split("-")[1]
    print(f"\n{finding.file}: {finding.what.rstrip()}")
    repeat = f"python -m tests.campaign --kinds {finding.kind} --seed {seed} --case {finding.index}"
    print(f"again: {repeat}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.campaign", description=__doc__)
    parser.add_argument("--count", type=int, default=9000, help="files in all, kinds alike; 50000 and more for a night")
    parser.add_argument("--seconds", type=float, help="end after this time")
    parser.add_argument("--seed", type=int, default=0, help="others give other files")
    parser.add_argument("--kinds", default=",".join(KINDS), help="of: %(default)s")
    parser.add_argument("--case", type=int, help="this one file of each kind only")
    parser.add_argument("--workers", type=int, default=2, help="processes side by side")
    parser.add_argument("--keep", type=Path, default=Path("out/campaign"), help="folder for files that are found")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
