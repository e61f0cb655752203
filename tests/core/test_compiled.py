"""What is compiled does not need a place to be kept in."""

from detector.core.models.compiled import compiled


def test_what_cannot_be_kept_is_compiled_all_the_same() -> None:
    # Numba keeps a function beside its file, and refuses one that has none: as it does where nothing can be written.
    names: dict[str, object] = {"compiled": compiled}
    exec("@compiled\ndef twice(x):\n    return 2 * x\n", names)
    twice = names["twice"]

    assert twice(21.0) == 42.0  # type: ignore[operator]
    assert twice.signatures  # type: ignore[attr-defined]
