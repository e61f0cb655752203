"""Which source is asked: the rule as a table."""

from pathlib import Path

import pytest

from detector.client.choosing import Where, http_source, kind_of, source_of
from detector.errors import ConfigError

URL, REDIS, KAFKA = {"DETECTOR_URL": "http://a"}, {"DETECTOR_REDIS__URL": "redis://a"}, {"DETECTOR_KAFKA__CLIENT": "a"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("where", "env", "expected"),
    [
        pytest.param(Where(), {}, "redis", id="nobody says anything: as `detector check`"),
        pytest.param(Where(), URL, "http", id="the URL of the API"),
        pytest.param(Where(), URL | REDIS, "http", id="it goes before Redis"),
        pytest.param(Where(), REDIS | KAFKA, "redis", id="which goes before Kafka"),
        pytest.param(Where(), KAFKA, "kafka", id="Kafka only"),
        pytest.param(Where(kafka="a:9092"), URL, "kafka", id="the caller goes before the environment"),
        pytest.param(Where(), URL | {"DETECTOR_SOURCE": "kafka"}, "kafka", id="a word in the environment"),
        pytest.param(Where(source="redis"), {"DETECTOR_SOURCE": "kafka"}, "redis", id="a word of the caller"),
    ],
)
def test_which_source_is_asked(where: Where, env: dict[str, str], expected: str) -> None:
    assert kind_of(where, env) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("kafka: {bootstrap_servers: 'a:9092'}", "kafka", id="Kafka only"),
        pytest.param("kafka: {bootstrap_servers: 'a:9092'}\nredis: {url: 'redis://a'}", "redis", id="both"),
        pytest.param("", "redis", id="neither"),
    ],
)
def test_the_file_that_everything_else_reads_says_it_too(folder: Path, text: str, expected: str) -> None:
    (folder / "detector.yaml").write_text(text)

    assert kind_of(Where(), {}) == expected


def test_a_source_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="'reddis' is no source; known: http, redis, kafka"):
        kind_of(Where(), {"DETECTOR_SOURCE": "reddis"})


def test_an_api_without_its_url_is_refused() -> None:
    with pytest.raises(ConfigError, match="DETECTOR_URL: is not set"):
        source_of(Where(source="http"))


@pytest.mark.parametrize("url", ["detector:8080", "ftp://a", "http://", "http://me:word@a"])
def test_a_url_that_is_none_is_refused_without_what_is_in_it(url: str) -> None:
    with pytest.raises(ConfigError, match="must be like https://") as caught:
        http_source(Where(url=url), {}, 1.0)

    assert "word" not in str(caught.value)


def test_the_token_comes_from_a_file(folder: Path) -> None:
    (folder / "token").write_text("hunter2\n")

    source = http_source(Where(url="http://a"), {"DETECTOR_TOKEN_FILE": "token", "DETECTOR_TOKEN": "other"}, 1.0)

    assert source._headers["Authorization"] == "Bearer hunter2"


def test_a_file_of_a_token_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigError, match="DETECTOR_TOKEN_FILE: nowhere cannot be read"):
        http_source(Where(url="http://a"), {"DETECTOR_TOKEN_FILE": "nowhere"}, 1.0)


def test_what_the_caller_says_shows_no_token() -> None:
    assert "hunter2" not in repr(Where(url="http://a", token="hunter2"))
