"""The examples of docs/extending.md keep what their kind promises, as they stand on the page."""

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from detector.core.events import Dataset, DeadLetter, RunEvent
from tests.codecs.records import record
from tests.contracts import models
from tests.contracts import test_policies as policies

PAGE = (Path(__file__).parent.parent / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"`(detector/[\w/]+\.py)`:\n\n```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def example(path: str) -> Any:
    """The module that the page gives for this path."""
    [source] = [text for named, text in BLOCKS if named == path]
    module = ModuleType(path.removesuffix(".py").replace("/", "."))
    exec(compile(source, path, "exec"), module.__dict__)
    return module


@pytest.mark.parametrize("check", policies.CHECKS, ids=lambda check: check.__name__)
def test_the_policy_keeps_what_policies_promise(check: Any) -> None:
    check(example("detector/core/policies/stubborn.py").Stubborn)


@pytest.mark.parametrize("check", models.CHECKS, ids=lambda check: check.__name__)
def test_the_model_keeps_what_models_promise(check: Any) -> None:
    check(example("detector/core/models/calm.py").Calm)


def test_the_codec_reads_its_line_and_sets_others_aside() -> None:
    codec = example("detector/codecs/lines.py").Lines()
    rows = (Dataset("airflow", "orders.load", rows=9_412.0),)
    read = codec.decode(record(b";airflow;orders.load;run-7;COMPLETE;1768824000;9412"))
    letters = [
        codec.decode(record(value)) for value in (b";airflow", b"\xff", b";a;;r;COMPLETE;1;2", b";a;b;r;FAIL;x;2")
    ]

    assert read == RunEvent("airflow", "orders.load", "run-7", "COMPLETE", 1_768_824_000.0, outputs=rows)
    assert [letter.reason for letter in letters if isinstance(letter, DeadLetter)] == [
        "format",
        "format",
        "name",
        "format",
    ]


def test_every_example_can_be_read() -> None:
    assert len(BLOCKS) == 4
    for path, source in BLOCKS:
        compile(source, path, "exec")
