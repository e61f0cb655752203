"""What changed between two schemas of one dataset, and whether those who read it can go on.

Pure: two tuples of columns in, changes out. That a column was renamed is a guess, told with its evidence: nothing on
the wire says so. Types are compared in a normal form (`column_types`), so another spelling of one type is no change.
Columns inside of others stand in a schema by themselves (`outer.inner`); what happens to the outer one is told once.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from detector.core.column_types import NESTED, Type, relation, told
from detector.core.events import Field

Kind = Literal["removed", "retyped", "narrowed", "renamed", "nullable", "reordered", "widened", "not_null", "added"]
Compatibility = Literal["identical", "compatible", "risky", "breaking"]
CLASSES: Final[dict[Kind, Compatibility]] = {  # in the order in which changes are told
    "removed": "breaking",
    "retyped": "breaking",
    "narrowed": "breaking",
    "renamed": "breaking",  # whoever reads the old name finds nothing, as with one that is removed
    "nullable": "risky",
    "reordered": "risky",
    "widened": "compatible",
    "not_null": "compatible",
    "added": "compatible",
}
_ORDER: Final = list(CLASSES)
_WORST: Final[tuple[Compatibility, ...]] = ("identical", "compatible", "risky", "breaking")
_WORDS: Final[dict[Kind, str]] = {"nullable": "may be null now", "not_null": "never null now"}
ALIKE, LONGEST, MOST_GUESSED, NAMED = 0.6, 60, 50, 3


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change of a schema. `before` and `after` are types as they were spelled; places, where columns moved.

    `renamed_to` and `evidence` belong to the guess that a column was renamed.
    """

    kind: Kind
    column: str
    before: str | None = None
    after: str | None = None
    renamed_to: str | None = None
    evidence: str | None = None


class _Column(msgspec.Struct, frozen=True):
    field: Field
    type: Type | None
    nullable: bool
    place: int


def compare(before: tuple[Field, ...], after: tuple[Field, ...]) -> list[Change]:
    """All that changed, the gravest first, in an order that depends on nothing but the two schemas.

    >>> [change.kind for change in compare((Field("id", "INT"),), (Field("id", "bigint"), Field("at", "DATE")))]
    ['widened', 'added']
    """
    if before == after:
        return []
    old, new = _columns(before), _columns(after)
    renamed = _renamed(old, new)
    pairs = {name: name for name in old if name in new} | {was: now for was, (now, _) in renamed.items()}
    gone = [name for name in old if name not in pairs]
    come = set(new) - set(pairs.values())
    found = [Change(kind="removed", column=old[n].field.name, before=_type(old[n])) for n in _outermost(gone, gone)]
    found += [_rename(old[was], new[now], why) for was, (now, why) in renamed.items()]
    for was, now in pairs.items():
        found += _altered(old[was], new[now])
    found += _moved(old, new, pairs)
    arrived = [name for name in new if name in come]
    found += [Change(kind="added", column=new[n].field.name, after=_type(new[n])) for n in _outermost(arrived, arrived)]
    return sorted(found, key=lambda change: _ORDER.index(change.kind))


def compatibility(changes: Iterable[Change]) -> Compatibility:
    """Whether those who read the dataset can go on.

    `compatible`: they can. `risky`: those who read by position, or expect no nulls, cannot. `breaking`: those who read
    what changed cannot.
    """
    return max((CLASSES[change.kind] for change in changes), key=_WORST.index, default="identical")


def sentence(changes: Sequence[Change]) -> str:
    """The changes as a person reads them at 3 a.m.: each kind with its count and its first columns."""
    parts: list[str] = []
    for kind in _ORDER:
        some = [change for change in changes if change.kind == kind]
        if some:
            columns = "" if parts else " column" if len(some) == 1 else " columns"
            guess = "guess: " if kind == "renamed" else ""
            more = f", and {len(some) - NAMED} more" if len(some) > NAMED else ""
            told_of = ", ".join(map(_said, some[:NAMED]))
            parts.append(f"{len(some)}{columns} {_WORDS.get(kind, kind)} ({guess}{told_of}{more})")
    if not parts:
        return "no change"
    worst = compatibility(changes)
    return f"{', '.join(parts)}; {worst} {'with' if worst == 'compatible' else 'for'} readers"


def _said(change: Change) -> str:
    name = f"`{short(change.column)}`"
    if change.renamed_to is not None:
        return f"{name} to `{short(change.renamed_to)}`, {change.evidence}"
    if change.kind == "reordered":
        return name
    if change.before is not None and change.after is not None:
        return f"{name} {short(change.before)} to {short(change.after)}"
    return f"{name} {short(change.before or change.after or '')}".strip()


def short(text: str) -> str:
    """A name or a type on one line, not too long."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."


# ---------------------------------------------------------------- the columns of both


def _columns(schema: tuple[Field, ...]) -> dict[str, _Column]:
    """The columns by name, in their order. A name that is there twice is told apart by its number."""
    found: dict[str, _Column] = {}
    seen: dict[str, int] = {}
    for place, field in enumerate(schema):
        seen[field.name] = number = seen.get(field.name, 0) + 1
        tells = told(field.type)
        key = field.name if number == 1 else f"{field.name}\0{number}"
        found[key] = _Column(field, tells.type, tells.nullable, place)
    for outer in sorted({_outer(name) for name in found} & found.keys()):
        kind = found[outer].type
        if kind is not None and kind.family in NESTED:  # what is inside stands for itself
            found[outer] = msgspec.structs.replace(found[outer], type=Type(kind.family))
    return found


def _outer(name: str) -> str:
    return name.rpartition(".")[0]


def _outermost(names: list[str], all_of_them: list[str]) -> list[str]:
    known = set(all_of_them)
    return [name for name in names if not known.intersection(_around(name))]


def _around(name: str) -> list[str]:
    parts = name.split(".")[:65]
    return [".".join(parts[:i]) for i in range(1, len(parts))]


def _type(column: _Column) -> str | None:
    return column.field.type or None


def _altered(old: _Column, new: _Column) -> list[Change]:
    found, name, before, after = [], new.field.name, _type(old), _type(new)
    how = relation(old.type, new.type)
    if how != "same":
        found.append(Change(kind=how, column=name, before=before, after=after))
    if old.nullable != new.nullable and old.type is not None and new.type is not None:
        kind: Kind = "nullable" if new.nullable else "not_null"
        found.append(Change(kind=kind, column=name, before=before, after=after))
    return found


# ---------------------------------------------------------------- what moved


def _moved(old: dict[str, _Column], new: dict[str, _Column], pairs: dict[str, str]) -> list[Change]:
    """The fewest columns that must have moved for the others to stand as they stood; inside of a column by itself."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for was, now in pairs.items():
        groups.setdefault(_outer(was), []).append((was, now))
    found: list[Change] = []
    for group in groups.values():
        stood, stands = [old[was] for was, _ in group], [new[now] for _, now in group]
        numbered = _numbered(stood) and _numbered(stands)
        order = sorted(range(len(group)), key=lambda i: _place(stands[i], numbered))
        there = sorted(range(len(group)), key=lambda i: _place(stood[i], numbered))
        rank = {i: place for place, i in enumerate(there)}
        kept = _longest([rank[i] for i in order])
        after = {i: place for place, i in enumerate(order)}
        for i in sorted((i for i in order if rank[i] not in kept), key=after.__getitem__):
            before_place, after_place = f"place {rank[i] + 1}", f"place {after[i] + 1}"
            found.append(Change(kind="reordered", column=stands[i].field.name, before=before_place, after=after_place))
    return found


def _numbered(columns: list[_Column]) -> bool:
    places = {column.field.position for column in columns}
    return 0 not in places and len(places) == len(columns)


def _place(column: _Column, numbered: bool) -> int:
    return column.field.position if numbered else column.place


def _longest(ranks: list[int]) -> set[int]:
    """The ranks of a longest rising subsequence."""
    tails: list[int] = []
    before: dict[int, int | None] = {}
    for rank in ranks:
        at = bisect_left(tails, rank)
        before[rank] = tails[at - 1] if at else None
        tails[at : at + 1] = [rank]
    kept: set[int] = set()
    rank_or_none = tails[-1] if tails else None
    while rank_or_none is not None:
        kept.add(rank_or_none)
        rank_or_none = before[rank_or_none]
    return kept


# ---------------------------------------------------------------- renames


def _renamed(old: dict[str, _Column], new: dict[str, _Column]) -> dict[str, tuple[str, str]]:
    """Which column of before may be which of after, and why one would think so; the surest first, each once."""
    gone, come = [name for name in old if name not in new], [name for name in new if name not in old]
    if not (gone and come) or max(len(gone), len(come)) > MOST_GUESSED:
        return {}
    where, whither = _gaps(old, new), _gaps(new, old)
    guesses = []
    for was in gone:
        for now in come:
            if _outer(was) == _outer(now) and old[was].type is not None and _same(old[was].type, new[now].type):
                alone = len(where[0][where[1][was]]) == 1 == len(whither[0][whither[1][now]])
                beside = alone and where[1][was] == whither[1][now]
                sure, why = _evidence(was, now, beside)
                if why:
                    guesses.append((-sure, sorted((was, now)), was, now, why))
    found: dict[str, tuple[str, str]] = {}
    taken: set[str] = set()
    for _, _, was, now, why in sorted(guesses, key=lambda guess: guess[:2]):
        if was not in found and now not in taken:
            found[was] = (now, why)
            taken.add(now)
    return {was: found[was] for was in gone if was in found}


def _same(one: Type | None, other: Type | None) -> bool:
    return one is not None and other is not None and relation(one, other) == "same"


def _gaps(these: dict[str, _Column], others: dict[str, _Column]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The columns that only one schema has by the gap between common ones where they stand; and the gap of each."""
    common = [name for name in these if name in others]
    following = iter([*common[1:], ""])
    within: dict[str, list[str]] = {}
    gap_of: dict[str, str] = {}
    gap = f"\0{common[0] if common else ''}"
    for name in these:
        if name in others:
            gap = f"{name}\0{next(following)}"
        else:
            within.setdefault(gap, []).append(name)
            gap_of[name] = gap
    return within, gap_of


def _evidence(was: str, now: str, beside: bool) -> tuple[float, str]:
    """How sure the guess is, and why; no words where there is no reason."""
    one, other = was.rpartition(".")[2], now.rpartition(".")[2]
    if one.casefold() == other.casefold():
        return 3.0, "the same but for the case of letters"
    alike = _alike(one.casefold(), other.casefold())
    if beside and alike >= ALIKE:
        return 2.0 + alike, "same type, same place, similar name"
    if beside:
        return 1.0 + alike, "same type, same place"
    return alike, "same type, similar name" if alike >= ALIKE else ""


def _alike(one: str, other: str) -> float:
    """How much two names are alike (Dice's coefficient of their pairs of letters), from 0 to 1."""
    first, second = _pairs(one), _pairs(other)
    both = len(first & second)
    return 2 * both / (len(first) + len(second)) if both else 0.0


def _pairs(name: str) -> set[str]:
    return {name[i : i + 2] for i in range(min(len(name), 100) - 1)}


def _rename(old: _Column, new: _Column, why: str) -> Change:
    return Change(
        kind="renamed",
        column=old.field.name,
        before=_type(old),
        after=_type(new),
        renamed_to=new.field.name,
        evidence=why,
    )
