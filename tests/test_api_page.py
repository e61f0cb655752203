"""docs/api.md is run: each of its curls against a real server, and its examples are what comes of them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from detector.config import Http, load
from detector.web import Web
from tests.web.conftest import OPERATOR, READER, TOKENS
from tests.web.known import company

PAGE = (Path(__file__).parent.parent / "docs" / "api.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```sh\n(.*?)```(?:\n\n```(?:json|text)\n(.*?)```)?", re.DOTALL)
CURLS = [
    (curl, said)
    for text, said in BLOCK.findall(PAGE)
    for curl in re.findall(r"curl .*?(?=^curl |\Z)", text, re.DOTALL | re.MULTILINE)
]


def test_there_are_examples() -> None:
    assert len(CURLS) >= 12


@pytest.mark.slow
@pytest.mark.parametrize(("curl", "said"), CURLS, ids=[curl.partition("$DETECTOR")[2][:40] for curl, _ in CURLS])
def test_an_example_says_what_the_page_shows(curl: str, said: str) -> None:
    if not (shutil.which("curl") and shutil.which("jq")):
        pytest.skip("curl and jq are not installed")
    known = company()
    tokens = () if "localhost:8080" in curl else TOKENS
    with Web(Http(port=0, tokens=tokens), known.telemetry, known.sources) as web:
        env = {"DETECTOR": web.address, "TOKEN": READER, "OPERATOR": OPERATOR, "PATH": "/usr/local/bin:/usr/bin:/bin"}
        command = curl.replace("localhost:8080", web.address)

        done = subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True, timeout=60, check=False)

    assert done.stderr == ""
    assert done.stdout.strip() not in ("", "null")
    if said:
        expected = said.replace("Unprocessable Entity", _phrase(done.stdout))
        assert done.stdout.strip() == expected.strip()


def _phrase(answer: str) -> str:
    """Python 3.13 has another word for 422."""
    found = re.search(r'"title": "([^"]*)"', answer)
    return found[1] if found else ""


def test_the_example_of_a_configuration_is_right() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)

    config = load(text, {}, lambda path: f"{path}-0123456789")

    assert [(token.name, token.role) for token in config.http.tokens] == [
        ("dashboard", "reader"),
        ("alice", "operator"),
    ]


def test_the_statuses_are_those_of_the_document() -> None:
    from tests.web.test_openapi import DOCUMENT

    told = {int(number) for row in re.findall(r"^\| ([\d, ]+) \|", PAGE, re.MULTILINE) for number in row.split(", ")}
    documented = {
        int(status)
        for methods in DOCUMENT["paths"].values()
        for one in methods.values()
        for status in one["responses"]
        if status >= "4"
    }
    assert told == {*documented, 405}
