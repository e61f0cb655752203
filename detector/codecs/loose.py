"""The second look at JSON that did not decode at the first: keep what is right in it.

Python producers write NaN, file names hold half surrogate pairs, a custom facet has a date where a number is due. None
of that is worth an event. So this parses what the standard library parses, and prunes what is not of the wanted type,
piece by piece. It is some twenty times slower than the first look, and one event in thousands needs it.
"""

import json
from functools import cache
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET, inspect

from detector.codecs.checks import Refused, printable

T = TypeVar("T")

_DEEPEST: Final = 64

# What msgspec raises: its own errors, bytes that are not UTF-8 or integers without end (both ValueError), and nesting.
NOT_AT_FIRST: Final = (msgspec.DecodeError, ValueError, RecursionError)


def parse(body: bytes) -> Any:
    """What `body` says as JSON, NaN and infinities included, bytes that are not UTF-8 as surrogates.

    Raises `Refused` (reason `json`); the message has no text of `body`.
    """
    try:
        return json.loads(body.decode("utf-8", "surrogateescape"))
    except RecursionError:
        raise Refused("json", "nested too deeply") from None
    except json.JSONDecodeError as error:
        raise Refused("json", f"not JSON: {error.msg} (character {error.pos})") from None
    except ValueError:  # Python's own limit on the digits of an integer
        raise Refused("json", "a number has too many digits") from None


def check_text(value: Any) -> None:
    """Raises `Refused` (reason `json`) when a text in `value` cannot be said in UTF-8."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise Refused("json", "nested too deeply") from None
    except UnicodeEncodeError:
        raise Refused("json", "not UTF-8") from None


def convert(value: Any, to: type[T]) -> T:
    """`value` as a `to`. Raises `Refused` (reason `envelope`) with the path to what does not fit, without its value."""
    try:
        return msgspec.convert(value, to)
    except msgspec.ValidationError as error:
        raise Refused("envelope", str(error)) from None
    except UnicodeEncodeError:  # of a key, or of a text where none should be
        raise Refused("json", "not UTF-8") from None


def prune(value: Any, to: type) -> Any:
    """`value` without whatever does not fit type `to`; `UNSET` when nothing fits."""
    return _prune(value, _described(to), 0)


@cache
def _described(to: type) -> inspect.Type:
    return inspect.type_info(to)


def _prune(value: Any, to: inspect.Type, depth: int) -> Any:  # noqa: PLR0911 - one line for each kind of type
    if depth > _DEEPEST:
        return UNSET
    match to:
        case inspect.UnionType():
            return _prune_union(value, to, depth)
        case inspect.StructType():
            return _prune_struct(value, to, depth)
        case inspect.DictType():
            return _prune_dict(value, to, depth)
        case inspect.ListType():
            if not isinstance(value, list):
                return UNSET
            return [kept for item in value if (kept := _prune(item, to.item_type, depth + 1)) is not UNSET]
        case inspect.StrType():
            return printable(value) if isinstance(value, str) else UNSET
        case inspect.FloatType():
            return _prune_number(value)
        case inspect.BoolType():
            return value if isinstance(value, bool) else UNSET
        case _:
            return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63 else UNSET


def _prune_union(value: Any, to: inspect.UnionType, depth: int) -> Any:
    if value is None:
        return None
    for kind in to.types:
        if not isinstance(kind, inspect.NoneType):
            kept = _prune(value, kind, depth)
            if kept is not UNSET:
                return kept
    return UNSET


def _prune_struct(value: Any, to: inspect.StructType, depth: int) -> Any:
    if not isinstance(value, dict):
        return UNSET
    if getattr(to.cls, "whole", False):
        return _whole(value, to.cls)
    kept = {}
    for field in to.fields:
        found = _prune(value[field.encode_name], field.type, depth + 1) if field.encode_name in value else UNSET
        if found is not UNSET:
            kept[field.encode_name] = found
        elif field.required:
            return UNSET
    return kept


def _whole(value: dict[str, Any], to: type) -> Any:
    """`value`, of which a part would be worse than nothing, or `UNSET` when anything in it does not fit."""
    try:
        msgspec.convert(value, to)
    except (msgspec.ValidationError, UnicodeEncodeError):
        return UNSET
    return value


def _prune_dict(value: Any, to: inspect.DictType, depth: int) -> Any:
    if not isinstance(value, dict):
        return UNSET
    pruned = ((printable(key), _prune(item, to.value_type, depth + 1)) for key, item in value.items())
    return {key: item for key, item in pruned if item is not UNSET}


def _prune_number(value: Any) -> Any:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return UNSET
    try:
        number = float(value)
    except OverflowError:
        return UNSET
    return number if number - number == 0.0 else UNSET
