"""Names at the edge: what each grammar takes and refuses, when two are equal, and ids as every vendor spells them."""

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetroll.core import ids, limits, names
from fleetroll.core.faults import Fault, Kind

IDS = st.integers(0, ids.MAX_ID)
# What no name of any kind may hold: each is invisible, moves the text around it, or ends a line somewhere.
HOSTILE = [
    *("\0", "\t", "\n", "\r", "\x1b", "\x7f", "\x85"),
    *("\u2028", "\u2029", "\u202e", "\u2066", "\ufeff", "\u200b", "\ue000", "\ud800"),
]
Check = Callable[[str], str]


def code(check: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(Fault) as refused:
        check(*arguments)
    assert refused.value.kind is Kind.INVALID
    return refused.value.code


@pytest.mark.parametrize(
    "value",
    [
        "a",
        "sensor-001",
        "a/b",
        "a b",
        "%2F",
        "a?b#c",
        "...",
        ".a",
        "ü",
        "温度",
        "e\u0301",
        "😀",
        "a" * limits.MAX_IDENT,
    ],
)
def test_an_identifier_is_any_printable_text_and_stays_as_sent(value: str) -> None:
    assert names.ident(value) == value


@pytest.mark.parametrize("value", ["", " a", "a ", " ", ".", "..", "\u00a0", "\u3000a", "a" * (limits.MAX_IDENT + 1)])
def test_an_identifier_that_could_not_be_addressed_or_told_apart_is_refused(value: str) -> None:
    assert code(names.ident, value) == "invalid_ident"


@pytest.mark.parametrize("character", [*HOSTILE, "\u200d"])
@pytest.mark.parametrize("place", ["{}a", "a{}", "a{}b"])
def test_an_identifier_holds_nothing_invisible(character: str, place: str) -> None:
    assert code(names.ident, place.format(character)) == "invalid_ident"


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("e\u0301", "\u00e9", True),
        ("\u212b", "\u00c5", True),
        ("Sensor", "sensor", False),
        ("ﬁ", "fi", False),
        ("a", "а", False),  # noqa: RUF001  # the second is Cyrillic
        ("a.", "a", False),
    ],
)
def test_identifiers_are_equal_in_their_composed_form_and_no_other(one: str, other: str, equal: bool) -> None:
    assert (names.identity_key(one) == names.identity_key(other)) is equal


@given(st.text())
def test_the_key_of_an_identifier_is_its_composed_form(value: str) -> None:
    assert names.identity_key(value) == unicodedata.normalize("NFC", value)


def test_every_spelling_of_an_identifier_is_composed_and_nothing_longer() -> None:
    # Composing 40,000 marks took two seconds, and a body has room for half a million.
    composed = "\u1faf" * limits.MAX_IDENT
    spelled = unicodedata.normalize("NFD", names.ident(composed))
    assert names.identity_key(spelled) == names.identity_key(composed)
    assert names.identity_key(f"{spelled}\u0300") == f"{spelled}\u0300"


@pytest.mark.parametrize("check", [names.line, names.tag, names.paragraph], ids=["line", "tag", "paragraph"])
def test_text_for_people_may_hold_an_emoji_family(check: Callable[[str, str], str]) -> None:
    assert check("👩\u200d🌾 farm", "name") == "👩\u200d🌾 farm"


@pytest.mark.parametrize("check", [names.line, names.tag], ids=["line", "tag"])
@pytest.mark.parametrize("character", HOSTILE)
def test_a_line_holds_no_control_or_formatting_character(check: Callable[[str, str], str], character: str) -> None:
    assert code(check, f"a{character}b", "name") == "invalid_text"


@pytest.mark.parametrize(("length", "taken"), [(0, False), (1, True), (8, True), (9, False)])
def test_a_line_has_one_character_up_to_its_limit(length: int, taken: bool) -> None:
    if taken:
        assert names.line("a" * length, "name", 8) == "a" * length
    else:
        assert code(names.line, "a" * length, "name", 8) == "invalid_text"


def test_a_paragraph_has_line_ends_and_no_other_control() -> None:
    assert names.paragraph("", "text") == ""
    assert names.paragraph("a\r\n\tb", "text") == "a\r\n\tb"
    for character in set(HOSTILE) - {"\n", "\r", "\t"}:
        assert code(names.paragraph, f"a{character}b", "text") == "invalid_text"
    assert code(names.paragraph, "aaa", "text", 2) == "invalid_text"


@pytest.mark.parametrize("value", ["a,b", " a", "a ", ",", "\u00a0a"])
def test_a_tag_has_no_comma_and_no_space_around_it(value: str) -> None:
    assert code(names.tag, value) == "invalid_tag"


@pytest.mark.parametrize("value", ["a", "a" * limits.MAX_TAG])
def test_a_tag_has_one_character_up_to_its_limit(value: str) -> None:
    assert names.tag(value) == value


@pytest.mark.parametrize("value", ["", "a" * (limits.MAX_TAG + 1)])
def test_the_bound_of_a_tag_is_not_said_of_the_list(value: str) -> None:
    with pytest.raises(Fault, match=rf"tags: a tag must have 1 to {limits.MAX_TAG} characters\."):
        names.tag(value)


def test_unique_values_keep_their_order_and_their_bound() -> None:
    assert names.unique(["b", "a", "b"], 2, "tags") == ("b", "a")
    assert code(names.unique, ["a", "b", "c"], 2, "tags") == "too_many"


def test_of_too_many_values_no_more_are_read_than_it_takes_to_know() -> None:
    read: list[str] = []

    def reader(value: str) -> str:
        read.append(value)
        return value.lower()

    assert names.unique(["A", "a", "A", "b"], 2, "tags", reader) == ("a", "b")
    read.clear()
    assert code(names.unique, map(str, range(100_000)), 2, "tags", reader) == "too_many"
    assert read == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        ("acme", True),
        ("A-1_b", True),
        ("a" * limits.MAX_SLUG, True),
        ("", False),
        ("a" * (limits.MAX_SLUG + 1), False),
        ("a.b", False),
        ("a b", False),
        ("ä", False),
        ("a\n", False),
        ("../a", False),
    ],
)
def test_a_slug_is_safe_in_any_path(value: str, taken: bool) -> None:
    if taken:
        assert names.slug(value) == value
    else:
        assert code(names.slug, value) == "invalid_slug"


@pytest.mark.parametrize("value", ["a", "line-1", "a.b_c-D9", "..a", "a" * limits.MAX_AUTHORITY_NAME])
def test_a_dms_or_an_authority_has_a_name_that_is_one_step_of_a_path(value: str) -> None:
    assert names.path_segment(value, "name") == value


@pytest.mark.parametrize(
    "value",
    ["", ".", "..", "-", "_._", "a b", "a/b", "a~b", "línea", "٣", "a\n", "a" * (limits.MAX_AUTHORITY_NAME + 1)],
)
def test_a_dms_or_an_authority_has_no_other_name(value: str) -> None:
    assert code(names.path_segment, value, "name") == "invalid_name"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Ann's 1st_floor-2.b, left", True),
        ("Größe", True),
        ("a" * limits.MAX_PLAIN_NAME, True),
        ("a" * (limits.MAX_PLAIN_NAME + 1), False),
        ("", False),
        (" ", False),
        ("a/b", False),
        ("a\tb", False),
    ],
)
def test_a_plain_name_is_letters_digits_blanks_and_few_marks(value: str, shown: bool) -> None:
    assert names.is_plain_name(value) is shown


@pytest.mark.parametrize(("value", "stored"), [(None, None), ("default", None), ("pilot", "pilot")])
def test_a_device_in_the_default_cohort_is_stored_in_none(value: str | None, stored: str | None) -> None:
    assert names.cohort(value) == stored


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (" Ann@Example.COM ", "ann@example.com"),
        ("a.b+c@d.example.org", "a.b+c@d.example.org"),
        ("jürgen@example.de", "jürgen@example.de"),
        ("o'brien@example.ie", "o'brien@example.ie"),
        ("a" * (limits.MAX_EMAIL - 5) + "@b.de", "a" * (limits.MAX_EMAIL - 5) + "@b.de"),
    ],
)
def test_an_email_address_is_trimmed_and_lower_cased(value: str, stored: str) -> None:
    assert names.email(value) == stored


@pytest.mark.parametrize(
    "value",
    [
        *("", "a", "@", "a@b", "@b.c", "a@", "a b@c.de", "a@b@c.de", "a@-b.de", "a@b-.de", "a@b..de", "a,b@c.de"),
        *("<a@b.de>", "a\u200b@b.de", "a\n@b.de", "a" * limits.MAX_EMAIL + "@b.de"),
    ],
)
def test_what_is_no_email_address_is_refused(value: str) -> None:
    assert code(names.email, value) == "invalid_email"


def test_an_owner_is_the_same_by_an_address_in_any_case_and_by_another_reference_as_it_is() -> None:
    assert names.owner_ref(" Ann@Example.COM ") == names.owner_ref("ann@example.com") == "ann@example.com"
    assert names.owner_ref(" Customer 7 ") == "Customer 7"


@given(IDS, IDS)
def test_an_id_has_one_spelling_in_base_36(number: int, other: int) -> None:
    assert ids.parse_base36(ids.base36(number)) == number
    assert (ids.base36(number) == ids.base36(other)) == (number == other)


@pytest.mark.parametrize(
    "text", ["", "-1", "A", "0a", "00", "a b", "a\n", "é", "٣", "1y2p0ij32e8e8", "z" * 13, "z" * 99]
)
def test_other_spellings_of_an_id_are_none(text: str) -> None:
    assert ids.parse_base36(text) is None


@given(IDS)
def test_a_prefixed_id_is_read_only_under_its_prefix(number: int) -> None:
    text = ids.prefixed("dev_", number)
    assert ids.parse_prefixed("dev_", text) == number
    assert ids.parse_prefixed("cus_", text) is None
    assert ids.parse_prefixed("dev_", text.upper()) is None
    assert ids.parse_prefixed("dev_", f"dev_{text}") is None
    assert ids.parse_prefixed("dev_", ids.base36(number)) is None


@given(st.integers(0, 2**32 - 1), IDS)
def test_24_hex_digits_hold_the_second_and_the_id(second: int, number: int) -> None:
    text = ids.device_hex(second * 1_000_000 + 999_999, number)
    assert len(text) == 24
    assert int(text[:8], 16) == second
    assert ids.parse_device_hex(text) == number


@pytest.mark.parametrize("text", ["", "0" * 23, "0" * 25, "A" + "0" * 23, "g" + "0" * 23, "f" * 24, "٣" * 24])
def test_other_hex_is_no_device(text: str) -> None:
    assert ids.parse_device_hex(text) is None


@given(st.integers(1, 1000))
def test_a_whole_number_is_read_up_to_its_bound(number: int) -> None:
    assert names.positive(str(number), "limit", 1000) == number


@pytest.mark.parametrize("number", [0, ids.MAX_ID])
def test_a_whole_number_may_be_any_that_a_record_has(number: int) -> None:
    assert names.whole(str(number), "id", 0, ids.MAX_ID) == number


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "+1", "01", "1.0", "1e3", " 1", "1_0", "٣", "1001", "9" * 5000, "NaN", "true"]
)
def test_any_other_number_is_refused(text: str) -> None:
    assert code(names.positive, text, "limit", 1000) == "out_of_range"


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Branch", "branch"),
        ("Müller & Söhne GmbH", "muller-sohne-gmbh"),
        ("a_b  c", "a_b-c"),
        ("日本", "organization"),
        ("--", "organization"),
        ("x" * 200, "x" * (limits.MAX_SLUG - 3)),
    ],
)
def test_a_slug_is_made_of_every_name(name: str, slug: str) -> None:
    assert names.slugify(name) == slug
    assert names.slug(names.slugify(name)) == slug
