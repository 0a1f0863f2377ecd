"""Draw rates.png, the figure of the README, by the code that the README shows: ``python docs/images/rates.py``."""

import doctest
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
PICTURE = Path(__file__).with_suffix(".png")


def code():
    """Give the code that the README shows above its figure."""
    above, _, _ = README.read_text().partition(f"/{PICTURE.relative_to(README.parent).as_posix()})")
    block = above.rpartition("\n#")[2]
    return "".join(example.source for example in doctest.DocTestParser().get_examples(block))


def draw():
    """Run it, and give what it draws."""
    names = {}
    exec(code(), names)
    return names["figure"]


if __name__ == "__main__":
    draw().savefig(PICTURE, metadata={"Source": code()})
