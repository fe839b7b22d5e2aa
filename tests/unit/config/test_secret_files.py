"""Secrets: from files, from the environment, and written out."""

import base64
import os
from pathlib import Path

import pytest

from pricestreamd.config.words import holds_secret
from pricestreamd.model.secret import Secret, redact
from pricestreamd.sinks.settings import WebhookSinkSettings
from tests.unit.config.conftest import Load, Problems

TEXT = "feeds: {us: {provider: twelvedata, symbols: [A], api_key_file: '${F}'}}"


def secret(tmp_path: Path, content: bytes = b"key-from-file\n", mode: int = 0o600) -> Path:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("content", [b"key-from-file", b"key-from-file\n", b"key-from-file\r\n"])
def test_a_secret_is_read_from_its_file_without_one_line_end(load_text: Load, tmp_path: Path, content: bytes) -> None:
    path = secret(tmp_path, content)
    loaded = load_text(TEXT, F=str(path))
    assert loaded.settings.feeds["us"].api_key == Secret("key-from-file")
    assert loaded.settings.feeds["us"].api_key_file == path
    assert loaded.warnings == ()


def test_only_one_line_end_is_dropped(load_text: Load, tmp_path: Path) -> None:
    secret(tmp_path, b" a b \n\n")
    assert load_text(TEXT, F="key").settings.feeds["us"].api_key == Secret(" a b \n")


def test_every_secret_has_its_file(load_text: Load, tmp_path: Path) -> None:
    secret(tmp_path)
    settings = load_text(
        "feeds: {us: {provider: twelvedata, symbols: [A], api_key_file: key, api_secret_file: key}}\n"
        "http: {auth_token_file: key, listen: '0.0.0.0:1'}"
    ).settings
    assert settings.feeds["us"].api_secret == settings.http.auth_token == Secret("key-from-file")
    whsec = f"whsec_{base64.b64encode(bytes(32)).decode()}"
    secret(tmp_path, f"{whsec}\n".encode())
    (hook,) = load_text(
        "sinks: {a: {type: webhook, url: 'https://example.org', secret_file: key}}"
    ).settings.sinks.values()
    assert isinstance(hook, WebhookSinkSettings)
    assert hook.secret == Secret(whsec)


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o641, 0o604])
def test_a_file_open_to_others_is_told_of(warnings_of: Problems, tmp_path: Path, mode: int) -> None:
    path = secret(tmp_path, mode=mode)
    assert warnings_of(TEXT, F=str(path)) == [
        f"c.yaml:1:64: feeds.us.api_key_file: key is open to others (mode {mode:04o}): chmod 0640"
    ]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty: write the secret into it"),
        (b"\n", "is empty: write the secret into it"),
        (b"\xff", "is not UTF-8 text: write the secret into it as one line of text"),
        (b"\x7fELF\0\0", "is not UTF-8 text: write the secret into it as one line of text"),
        ("key".encode("utf-16"), "is not UTF-8 text: write the secret into it as one line of text"),
        (b"x" * 70_000, "is too large for a secret: name the file that holds nothing else"),
    ],
)
def test_a_file_that_holds_no_secret_is_an_error_at_its_place(
    problems_of: Problems, tmp_path: Path, content: bytes, fault: str
) -> None:
    path = secret(tmp_path, content)
    assert problems_of(TEXT, F=str(path)) == [f"c.yaml:1:64: feeds.us.api_key_file: key {fault}"]


def test_a_missing_file_is_an_error_at_its_place(problems_of: Problems, tmp_path: Path) -> None:
    (told,) = problems_of(TEXT, F="/nowhere/key")
    remedy = "write the secret into it, or name another file"
    assert told == f"c.yaml:1:64: feeds.us.api_key_file: cannot read /nowhere/key: No such file or directory; {remedy}"
    (told,) = problems_of(TEXT, F="key")
    assert told.endswith(f"cannot read this file in {tmp_path}: No such file or directory; {remedy}")
    (told,) = problems_of(TEXT, F=str(tmp_path))
    assert told.endswith("Is a directory; name the file in it")


def test_a_pipe_that_nobody_writes_into_is_empty_and_keeps_nobody_waiting(
    problems_of: Problems, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert problems_of(TEXT, F="/dev/null")[0].endswith("/dev/null is empty: write the secret into it")
    assert problems_of(TEXT, F=str(tmp_path / "pipe"))[0].endswith("pipe is empty: write the secret into it")


def test_a_secret_may_come_through_a_pipe(load_text: Load) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"key-from-pipe\n")
    os.close(writing)
    try:
        assert load_text(TEXT, F=f"/dev/fd/{reading}").settings.feeds["us"].api_key == Secret("key-from-pipe")
    finally:
        os.close(reading)


def test_the_mark_that_some_editors_begin_a_file_with_is_no_part_of_the_secret(load_text: Load, tmp_path: Path) -> None:
    path = secret(tmp_path, b"\xef\xbb\xbfkey-from-file\r\n")
    assert load_text(TEXT, F=str(path)).settings.feeds["us"].api_key == Secret("key-from-file")


@pytest.mark.parametrize("content", [b" key", b"key \n", b"key\n\n"])
def test_what_is_around_a_secret_is_told_of(warnings_of: Problems, tmp_path: Path, content: bytes) -> None:
    path = secret(tmp_path, content)
    assert warnings_of(TEXT, F=str(path)) == [
        "c.yaml:1:64: feeds.us.api_key_file: key has spaces or empty lines around the secret, which count: remove them"
    ]


def test_all_faults_of_all_secret_files_are_told_at_once(problems_of: Problems, tmp_path: Path) -> None:
    secret(tmp_path, b"")
    told = problems_of(
        "feeds: {us: {provider: twelvedata, symbols: [A], api_key_file: key}, "
        "eu: {provider: twelvedata, symbols: [B], api_key_file: /nowhere/key}}\nhttp: {auth_token_file: '${NONE}/x'}"
    )
    assert [line.split(": ")[1] for line in told] == [
        "feeds.us.api_key_file",
        "feeds.eu.api_key_file",
        "http.auth_token_file",
    ]


def test_a_credentials_directory_that_is_not_set_is_an_error_at_its_place(problems_of: Problems) -> None:
    text = "feeds: {us: {provider: twelvedata, api_key_file: '${CREDENTIALS_DIRECTORY}/twelvedata'}}"
    assert problems_of(text) == [
        (
            "c.yaml:1:50: feeds.us.api_key_file: the environment has no CREDENTIALS_DIRECTORY; set it, or give a default: "
            "${CREDENTIALS_DIRECTORY:-...}"
        )
    ]


def test_a_secret_and_its_file_are_one_too_many(problems_of: Problems, tmp_path: Path) -> None:
    secret(tmp_path)
    assert problems_of(TEXT.replace("}}", ", api_key: k}}"), F="key") == [
        "c.yaml:1:50: feeds.us.api_key_file: there is api_key already; keep one of the two"
    ]
    assert problems_of("http: {auth_token: [], auth_token_file: key}")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("feeds: {us: {provider: twelvedata, symbols: [A], api_key: abc}}", "1:59: feeds.us.api_key"),
        ("http: {auth_token: abc}", "1:20: http.auth_token"),
        ("deadman: {url: 'https://u:p@h/'}", "1:16: deadman.url"),
        ("deadman: {url: 'https://h/0f8d-key-of-mine-1'}", "1:16: deadman.url"),
        ("sinks: {n: {type: notify, urls: ['json://u:p@h']}}", "1:34: sinks.n.urls[0]"),
        (
            "feeds: {us: {provider: twelvedata, api_key: '${K}', symbols: [A], endpoint: 'wss://h/?apikey=abc'}}",
            "1:77: feeds.us.endpoint",
        ),
    ],
)
def test_a_secret_written_out_is_told_of(warnings_of: Problems, text: str, place: str) -> None:
    told = [line for line in warnings_of(text, K="k") if "written out" in line]
    assert len(told) == 1
    assert told[0].startswith(f"c.yaml:{place}: a secret is written out in the file; better: ${{NAME}}")


@pytest.mark.parametrize(
    "text",
    [
        "feeds: {us: {provider: twelvedata, symbols: [A], api_key: '${K}'}}",
        "feeds: {us: {provider: twelvedata, symbols: [A], api_key: '${NONE:-demo}'}}",
        "http: {auth_token: null}",
        "http: {auth_token: ''}",
    ],
)
def test_a_secret_from_the_environment_is_not_told_of(warnings_of: Problems, text: str) -> None:
    assert warnings_of(text, K="k") == []


def test_secrets_in_lists_and_headers_are_told_of_in_their_places(warnings_of: Problems) -> None:
    text = """
        feeds:
          own:
            provider: generic
            endpoint: wss://h
            symbols: [A]
            headers: {User-Agent: me, Authorization: abc}
        sinks: {n: {type: notify, urls: ["ntfy://h/topic", "json://u:p@h"]}}
        """
    told = [line for line in warnings_of(text) if "written out" in line]
    assert [line.partition(": a secret")[0] for line in told] == [
        "c.yaml:6:46: feeds.own.headers.Authorization",
        "c.yaml:7:52: sinks.n.urls[1]",
    ]


def test_what_went_into_a_secret_text_is_hidden_too(load_text: Load) -> None:
    load_text(
        'feeds: {own: {provider: generic, endpoint: wss://h, on_open: [\'{"key": "${K}"}\'], symbols: [A]}}',
        K="part-of-a-text",
    )
    assert "part-of-a-text" not in redact("sent part-of-a-text")


def test_for_a_secret_that_the_environment_lacks_no_default_is_proposed(problems_of: Problems) -> None:
    told = problems_of(
        "feeds: {us: {provider: twelvedata, api_key: '${KEY}', endpoint: '${PLACE}', symbols: [A]}}\n"
        "http: {auth_token: '${TOKEN}'}\n"
    )
    assert [line.partition(": ")[2] for line in told] == [
        "feeds.us.api_key: the environment has no KEY; set it",
        "feeds.us.endpoint: the environment has no PLACE; set it, or give a default: ${PLACE:-...}",
        "http.auth_token: the environment has no TOKEN; set it",
    ]


def test_what_is_no_address_may_be_anything() -> None:
    assert holds_secret("https://[broken")
    assert not holds_secret("https://example.org/hook")
