"""How many examples random tests draw."""

import os

_SHARE = float(os.environ.get("PIX2RT_TEST_EXAMPLES", "1"))


def drawn(count: int) -> int:
    """So many, or the share of them that PIX2RT_TEST_EXAMPLES names: a second run needs few, a night many."""
    return max(1, round(count * _SHARE))
