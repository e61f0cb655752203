"""How much is looked at: all of it, a share, so many rows, or, where nothing is said, less of what is very large."""

import re

import msgspec

AUTOMATIC = 8 << 30  # bytes of files, from which on not all is looked at unless it is asked for
LOOKED_AT = 2 << 30
ROWS = 200_000_000  # the same of a table whose size is not known
BLOCKS = 500  # ranges of rows that a sample of Parquet is made of


class Sample(msgspec.Struct, frozen=True):
    """A share, or a number of rows; neither: as much as is sensible."""

    share: float | None = None
    rows: int | None = None

    def is_wanted(self, size: float | None) -> bool:
        """Whether there is a reason to count the rows first."""
        return self.rows is not None or (self.share or 1.0) < 1 or (self.share is None and (size or 0) > AUTOMATIC)


def parsed(given: str) -> Sample:
    """What `all`, `1%` or `100000` means. Raises `ValueError`."""
    if given == "all":
        return Sample(share=1.0)
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", given):
        share = float(found[1]) / 100
        if 0 < share <= 1:
            return Sample(share=share)
    elif (digits := given.replace(",", "").replace("_", "")).isdecimal() and int(digits) > 0:
        return Sample(rows=int(digits))
    raise ValueError(f"{given!r} is no sample: write 1%, 100000 (rows) or all")


def share_of(sample: Sample, rows: int, size: float | None) -> float:
    """The share of so many rows that is looked at."""
    if sample.share is not None:
        return sample.share
    if sample.rows is not None:
        return min(sample.rows / rows, 1.0) if rows else 1.0
    if size is not None:
        return LOOKED_AT / size if size > AUTOMATIC else 1.0
    return ROWS / 4 / rows if rows > ROWS else 1.0


def ranges(files: list[int], share: float) -> str:
    """Which rows of Parquet files with so many rows each are looked at, as SQL: ranges of them, at even distances.

    Ranges and not single rows, since whoever reads one row of a file of columns reads all that lie around it. They are
    the same in every file of one length, and in every run.
    """
    longest = max(files, default=0)
    blocks = max(1, min(BLOCKS, longest // 1_000))
    step = max(longest / blocks, 1.0)
    spans = [(int(at * step), max(int(at * step + step * share), int(at * step) + 1)) for at in range(blocks)]
    return " OR ".join(f"file_row_number BETWEEN {low} AND {high - 1}" for low, high in spans)
