"""The form of API keys: enough randomness, typing errors found offline, and nothing stored that opens anything."""

import hashlib
import math
import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fleetroll.core import tokens
from fleetroll.core.model import KeyKind

SERVER_KEY = bytes(range(32))
OTHER_SERVER_KEY = bytes(range(1, 33))
PREFIXES = st.text(tokens.ALPHABET, min_size=tokens.PREFIX_LENGTH, max_size=tokens.PREFIX_LENGTH)
SECRETS = st.text(tokens.ALPHABET, min_size=tokens.SECRET_LENGTH, max_size=tokens.SECRET_LENGTH)
TOKENS = st.builds(tokens.assemble, st.sampled_from(tokens.KINDS), PREFIXES, SECRETS)
TOKEN = tokens.assemble(KeyKind.API, "a" * 12, "b" * 32)


def test_the_secret_part_has_at_least_160_random_bits() -> None:
    assert tokens.SECRET_LENGTH * math.log2(len(set(tokens.ALPHABET))) >= 160


@pytest.mark.parametrize(("kind", "letter"), [(KeyKind.API, "a"), (KeyKind.OAUTH, "o")])
def test_a_token_says_whose_it_is_and_of_what_kind(kind: KeyKind, letter: str) -> None:
    assert tokens.assemble(kind, "a" * 12, "b" * 32).startswith(f"flr_{letter}_")


def test_every_kind_has_a_letter_of_its_own() -> None:
    assert len({tokens.assemble(kind, "a" * 12, "b" * 32)[:6] for kind in tokens.KINDS}) == len(tokens.KINDS)


@given(TOKENS)
def test_a_secret_scanner_finds_a_token_in_any_text(token: str) -> None:
    assert re.findall(tokens.TOKEN_PATTERN, f'curl -H "x-api-key: {token}" https://example.com/{token}?') == [token] * 2


@given(st.sampled_from(tokens.KINDS), PREFIXES, SECRETS)
def test_a_token_is_found_by_its_public_part(kind: KeyKind, prefix: str, secret: str) -> None:
    token = tokens.assemble(kind, prefix, secret)
    assert tokens.parse(SERVER_KEY, token) == tokens.Token(prefix, token)


@given(TOKENS, st.data())
def test_one_wrong_character_is_found_without_a_look_up(token: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(4, len(token) - 1))
    wrong = data.draw(st.sampled_from(tokens.ALPHABET + "_- é"))
    assume(wrong != token[at])
    assert tokens.parse(SERVER_KEY, token[:at] + wrong + token[at + 1 :]) is None


@given(TOKENS, st.data())
def test_two_neighbours_exchanged_are_found_without_a_look_up(token: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(4, len(token) - 2))
    assume(token[at] != token[at + 1])
    assert tokens.parse(SERVER_KEY, token[:at] + token[at + 1] + token[at] + token[at + 2 :]) is None


@given(TOKENS, st.integers(4, 56))
def test_a_piece_of_a_token_is_no_token(token: str, length: int) -> None:
    assert tokens.parse(SERVER_KEY, token[:length]) is None


@pytest.mark.parametrize(
    "text",
    [
        f"{TOKEN}\n",
        f"{TOKEN} ",
        f"{TOKEN}0",
        TOKEN.replace("flr_a_", "flr_x_"),
        TOKEN.replace("flr_a_", "flr_o_"),
        TOKEN.replace("_", "-").replace("flr-", "flr_"),
        "flr_",
        "flr_a_aaaaaaaaaaaa",
        "flr_a__",
    ],
)
def test_what_only_begins_like_a_token_is_refused(text: str) -> None:
    assert tokens.parse(SERVER_KEY, text) is None


@given(TOKENS)
def test_a_client_id_and_secret_are_the_token_in_two_halves(token: str) -> None:
    client_id, client_secret = tokens.halves(token)
    assert tokens.join(client_id, client_secret) == token
    assert len(client_secret) >= tokens.SECRET_LENGTH
    assert client_secret not in client_id


@given(st.text(min_size=1))
@example("\udc80")
@example("FLR_A_upper")
def test_a_preset_key_is_found_by_a_prefix_that_does_not_show_it(text: str) -> None:
    assume(not text.startswith("flr_"))
    parsed = tokens.parse(SERVER_KEY, text)
    assert parsed is not None
    assert parsed.text == text
    assert parsed.prefix == tokens.preset_prefix(SERVER_KEY, text)
    assert parsed.prefix != tokens.preset_prefix(OTHER_SERVER_KEY, text)


@given(TOKENS | st.text(min_size=8))
def test_what_is_stored_depends_on_the_server_key_and_shows_nothing(token: str) -> None:
    stored = tokens.digest(SERVER_KEY, token)
    assert re.fullmatch(r"[0-9a-f]{64}", stored)
    assert stored != tokens.digest(OTHER_SERVER_KEY, token)
    assert stored != hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


@given(st.text(min_size=8))
def test_the_prefix_of_a_preset_key_is_no_part_of_its_digest(text: str) -> None:
    prefix = tokens.preset_prefix(SERVER_KEY, text).removeprefix("preset:")
    assert prefix not in tokens.digest(SERVER_KEY, text)


@given(TOKENS, TOKENS)
def test_only_the_token_itself_is_genuine(token: str, other: str) -> None:
    stored = tokens.digest(SERVER_KEY, token)
    assert tokens.is_genuine(SERVER_KEY, token, stored)
    assert tokens.is_genuine(SERVER_KEY, other, stored) == (other == token)
    assert not tokens.is_genuine(OTHER_SERVER_KEY, token, stored)


@given(st.lists(TOKENS, min_size=1), st.text())
def test_a_redacted_text_has_the_public_part_of_each_token_and_no_more(secrets: list[str], between: str) -> None:
    redacted = tokens.redact(f" {between} ".join(secrets))
    assert [secret for secret in secrets if secret[19:] in redacted] == []
    assert all(secret[:18] in redacted for secret in secrets)


@given(st.text())
def test_a_text_without_a_token_is_not_touched(text: str) -> None:
    assert tokens.redact(text) == text
    assert tokens.redact(f"flr_a_{text}") == f"flr_a_{text}"


@given(st.lists(st.text(), unique=True, min_size=2))
def test_no_two_purposes_share_a_derived_key(purposes: list[str]) -> None:
    keys = {tokens.derive(SERVER_KEY, purpose) for purpose in purposes}
    assert len(keys) == len(purposes)
    assert {len(key) for key in keys} == {32}


@pytest.mark.parametrize(
    ("made", "ever"),
    [
        (TOKEN, "flr_a_aaaaaaaaaaaa_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb0WOnOZ"),
        (tokens.digest(SERVER_KEY, TOKEN), "7054448ac26edcd9dc705e9122d6769a1dd0a81e98949179d81fbe3b146d1c6b"),
        (tokens.preset_prefix(SERVER_KEY, "an operator's own key"), "preset:1f016d335fc930c3dabdc06b"),
        (tokens.device_token(SERVER_KEY, 1234, 2), "AAAAAATSyco37mVz0hOakCTJgT94JVhW"),
        (tokens.project_key(SERVER_KEY, 7, 2), "0000000007639dabfada2f31152eaf36"),
        (tokens.mark(SERVER_KEY), "01a1a5c563b42aecf881d7d9fb34dcb381f38437180faf388094021eab9e8f4a"),
        (
            tokens.derive(SERVER_KEY, "authority-keys").hex(),
            "e83c3751088cec03ef56b53e8b739c93996b2ebeef69dc2a30cfcec107239902",
        ),
    ],
    ids=["API key", "its digest", "preset key", "device token", "project key", "mark of the server key", "derived key"],
)
def test_what_is_made_from_a_server_key_never_changes(made: str, ever: str) -> None:
    """It is in firmware, in scripts and in databases, where another release must find it good."""
    assert made == ever


@given(st.sampled_from(tokens.Grant), st.integers(0, 62**5 - 1), st.integers(0, 62**7 - 1), SECRETS)
def test_a_token_of_a_client_says_whose_it_is_and_what_it_is_for(
    grant: tokens.Grant, org: int, key: int, secret: str
) -> None:
    token = tokens.assemble_grant(grant, org, key, secret)
    assert tokens.is_grant(token)
    assert re.fullmatch(tokens.TOKEN_PATTERN, token)
    assert [tokens.parse_grant(one, token) for one in tokens.Grant] == [
        (org, key) if one is grant else None for one in tokens.Grant
    ]
    assert tokens.parse_grant(grant, f"{token[:-1]}{'a' if token[-1] != 'a' else 'b'}") is None
