"""The type of a column in one normal form, whatever engine spelled it, and how two of them relate.

Names are those of Postgres, MySQL, Snowflake, BigQuery, Spark, DuckDB, SQL Server, Oracle, Avro and Arrow. What a text
does not tell (the length of a `VARCHAR`, the digits of a `NUMERIC`) is not compared: one engine's default is another's.
A name that nobody knows is compared as text. Where engines differ in what a name means, the commoner meaning is taken:
`INT8` has eight bytes, `FLOAT` four, `TIMESTAMP` no zone.
"""

import re
from functools import lru_cache
from typing import Final, Literal, NamedTuple

Relation = Literal["same", "widened", "narrowed", "retyped"]
LONGEST: Final = 2_000  # characters, and
DEEPEST: Final = 16  # types within types, that are looked into: what is beyond is compared as text


class Type(NamedTuple):
    """`family` is what can be compared at all; `size` (the bits below and above zero, digits, a length) by how much."""

    family: str
    size: tuple[int, ...] = ()
    inner: tuple["Type", ...] = ()


class Told(NamedTuple):
    """What a text tells of a column: its type (None: nothing), and whether there may be nulls in it."""

    type: Type | None
    nullable: bool = True


_BITS: Final = {
    8: "tinyint int1 byte",
    16: "smallint int2 int16 short smallserial",
    24: "mediumint",
    32: "int integer int4 int32 serial signed",
    64: "bigint long int8 int64 bigserial longlong",
    128: "hugeint int128",
}
_UNSIGNED: Final = {
    8: "utinyint uint8 ubyte",
    16: "usmallint uint2 uint16 ushort",
    32: "uinteger uint uint4 uint32",
    64: "ubigint uint64 ulong",
    128: "uhugeint uint128",
}
_FLOATS: Final = {16: "half float2 float16 halffloat", 32: "real float float4 float32", 64: "double float8 float64"}
_FAMILIES: Final = {
    "decimal": "decimal numeric number dec fixed bignumeric bigdecimal decimal32 decimal64 decimal128 decimal256",
    "text": (
        "varchar text string char character charactervarying charvarying nvarchar nchar varchar2 nvarchar2 bpchar clob "
        "nclob ntext citext utf8 largeutf8 largestring stringview utf8view tinytext mediumtext longtext str sysname"
    ),
    "bool": "bool boolean",
    "date": "date date32 date64",
    "time": "time time32 time64 timewithouttimezone timemillis timemicros",
    "timetz": "timetz timewithtimezone",
    "timestamp": (
        "timestamp datetime datetime2 datetime64 smalldatetime timestampwithouttimezone timestampntz localtimestamp "
        "timestampmillis timestampmicros timestampnanos localtimestampmillis localtimestampmicros timestamps "
        "timestampms timestampns"
    ),
    "timestamptz": "timestamptz timestampwithtimezone timestampltz timestampwithlocaltimezone datetimeoffset",
    "bytes": "bytes bytea binary varbinary blob longblob mediumblob tinyblob largebinary image raw longraw",
    "json": "json jsonb variant super",
    "uuid": "uuid uniqueidentifier guid",
    "struct": "struct record row tuple object",
    "array": "array list largelist repeated",
    "map": "map",
}
_UNTOLD: Final = frozenset({"", "null", "void", "unknown", "none", "any", "undefined"})
_EXACT: Final = {16: 11, 32: 24, 64: 53}  # bits of a whole number that a float of so many bits holds exactly
_DIGITS: Final = {7: 3, 8: 3, 15: 5, 16: 5, 23: 7, 24: 8, 31: 10, 32: 10, 63: 19, 64: 20}
_SIZED: Final = frozenset({"decimal", "text", "bytes"})
NESTED: Final = frozenset({"struct", "array", "map"})


def _known() -> dict[str, Type]:
    found = {name: Type("int", (bits - 1, bits - 1)) for bits, names in _BITS.items() for name in names.split()}
    found |= {name: Type("int", (0, bits)) for bits, names in _UNSIGNED.items() for name in names.split()}
    found |= {name: Type("float", (bits,)) for bits, names in _FLOATS.items() for name in names.split()}
    found["doubleprecision"] = found["double"]
    return found | {name: Type(family) for family, names in _FAMILIES.items() for name in names.split()}


_NAMES: Final = _known()
_NOT_NULL = re.compile(r"\s+(not null|required)$")
_NULL = re.compile(r"\s+(null|nullable)$")
_AVRO_UNION = re.compile(r'\[\s*(?:"?null"?\s*,\s*(.+?)|(.+?)\s*,\s*"?null"?)\s*\]')
_UNION = re.compile(r"union\s*[<(\[]\s*(?:null\s*,\s*(.+?)|(.+?)\s*,\s*null)\s*[>)\]]")
_OPTIONAL = re.compile(r"(?:nullable|optional)\s*[<(\[](.+)[>)\]]")
_PARTS = re.compile(
    r"([a-z_][\w .\-]*?)\s*(?:([<(\[])(.*)[>)\]])?\s*((?:with(?:out)?\s+(?:local\s+)?time\s+zone)|unsigned)?"
)
_ARRAY = re.compile(r"(.+?)\s*\[\s*\d*\s*\]")
_JUNK = re.compile(r"[\s_.\-]+")


@lru_cache(maxsize=4_096)
def told(text: str) -> Told:
    """What a type's text tells.

    >>> told("character varying(20) NOT NULL")
    Told(type=Type(family='text', size=(20,), inner=()), nullable=False)
    """
    plain = " ".join(text.split()).casefold()
    if len(plain) > LONGEST:
        return Told(Type(plain))
    bare = _NOT_NULL.sub("", plain)
    nullable = bare == plain
    bare = _NULL.sub("", bare)
    for union in (_AVRO_UNION, _UNION, _OPTIONAL):
        if found := union.fullmatch(bare):
            bare, nullable = next(group for group in found.groups() if group), True
            break
    kind = _type(bare.strip("\"' "), 0)
    return Told(None if kind.family in _UNTOLD else kind, nullable)


def _type(text: str, depth: int) -> Type:
    if depth > DEEPEST:
        return Type(text)
    if (item := _ARRAY.fullmatch(text)) and _parts(item[1]):
        return Type("array", inner=(_type(item[1], depth + 1),))
    found = _parts(text)
    if found is None:
        return Type(_JUNK.sub("", text))
    name, bracket, within, after = found.groups()
    name = _JUNK.sub("", name + (after if after and after != "unsigned" else ""))
    kind = _NAMES.get(name)
    if kind is None or kind.family in NESTED:
        return _nested(kind.family if kind else name, within, bracket, depth)
    if kind.family == "int" and after == "unsigned":
        return Type("int", (0, kind.size[0] + 1))
    if kind.family == "float" and name == "float" and within:
        return Type("float", (32 if within.isdecimal() and int(within[:4]) <= 24 else 64,))
    if kind.family == "timestamp" and "tz=" in (within or ""):
        return Type("timestamptz")
    return Type(kind.family, _numbers(within)) if kind.family in _SIZED else kind


def _parts(text: str) -> re.Match[str] | None:
    return _PARTS.fullmatch(text)


def _numbers(within: str | None) -> tuple[int, ...]:
    """Lengths and digits; `MAX` and a unit (`20 BYTE`) say as much as none."""
    words = [word.split()[:1] for word in (within or "").split(",")]
    sizes = tuple(
        int(word[0]) for word in words if word and word[0].isascii() and word[0].isdecimal() and len(word[0]) < 10
    )
    return sizes if len(sizes) == len(words) else ()


def _nested(family: str, within: str | None, bracket: str | None, depth: int) -> Type:
    if not within:
        return Type(family)
    if family not in NESTED and bracket != "<":
        return Type(f"{family}({_JUNK.sub('', within)})")
    pieces = [_member(piece, family, depth) for piece in _split(within)]
    return Type(family, inner=tuple(pieces))


def _member(piece: str, family: str, depth: int) -> Type:
    """One member: of a struct with its name (`a: int`, `a int`), else only a type."""
    if family != "struct":
        return _type(_NULL.sub("", _NOT_NULL.sub("", piece)), depth + 1)
    name, colon, kind = piece.partition(":")
    if not colon:
        name, _, kind = piece.partition(" ")
    kind = _NULL.sub("", _NOT_NULL.sub("", kind.strip()))
    return Type(f"{name.strip()}:", inner=(_type(kind, depth + 1),))


def _split(within: str) -> list[str]:
    pieces, depth, start = [], 0, 0
    for at, character in enumerate(within):
        depth += (character in "<([") - (character in ">)]")
        if character == "," and depth == 0:
            pieces.append(within[start:at].strip())
            start = at + 1
    return [*pieces, within[start:].strip()]


# ---------------------------------------------------------------- two of them


def relation(before: Type | None, after: Type | None) -> Relation:
    """How the type `after` relates to the type `before`.

    >>> relation(told("INT").type, told("bigint").type)
    'widened'
    """
    if before is None or after is None or before == after:
        return "same"
    there, back = _holds(after, before), _holds(before, after)
    if there and back:
        return "same"
    return "widened" if there else "narrowed" if back else "retyped"


def _holds(wide: Type, narrow: Type) -> bool:
    """Whether each value of `narrow` is one of `wide`, as far as is told."""
    if wide.family == narrow.family:
        return _fits(wide, narrow)
    if narrow.family == "int" and wide.family == "float":
        return max(narrow.size) <= _EXACT[wide.size[0]]
    if narrow.family == "int" and wide.family == "decimal":
        return wide.size in {(), (38,), (38, 0)} or _whole(wide) >= _DIGITS.get(max(narrow.size), 39)
    # Snowflake's whole numbers are all NUMBER(38,0), whatever they were declared as.
    return wide.family == "int" and narrow.family == "decimal" and narrow.size in {(38,), (38, 0)}


def _fits(wide: Type, narrow: Type) -> bool:
    if wide.family == "decimal":
        if not wide.size or not narrow.size:
            return True
        return _whole(wide) >= _whole(narrow) and _scale(wide) >= _scale(narrow)
    if not wide.inner or not narrow.inner:  # a nested type may be told without what is in it
        return not wide.size or not narrow.size or all(w >= n for w, n in zip(wide.size, narrow.size, strict=False))
    if wide.family == "struct":
        members = {member.family: member for member in wide.inner}
        return all(n.family in members and _fits(members[n.family], n) for n in narrow.inner)
    if len(wide.inner) != len(narrow.inner):
        return False
    return all(_holds(w, n) for w, n in zip(wide.inner, narrow.inner, strict=True))


def _scale(kind: Type) -> int:
    return kind.size[1] if len(kind.size) > 1 else 0


def _whole(kind: Type) -> int:
    return kind.size[0] - _scale(kind)
