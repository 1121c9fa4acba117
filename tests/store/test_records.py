"""The nouns beside devices: organizations, keys, named records, the timeline, quotas and stored replies."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from fleetroll.core.certificates import Certificate, Edition, KeyType, Reason, Revocation, Tally
from fleetroll.core.certificates import KeyKind as PublicKeyKind
from fleetroll.core.dms import Admission, Distribution, Profile, Proof, Registration, Renewal, Settings
from fleetroll.core.identity import Windows
from fleetroll.core.model import (
    Address,
    Criterion,
    Datastream,
    DatastreamKind,
    Event,
    EventCode,
    EventKind,
    FieldKind,
    KeyKind,
    Metafield,
    MetafieldKind,
    NewEvent,
    Organization,
    OrganizationProfile,
    OwnerRole,
    OwnerStatus,
    Span,
    UnitSystem,
)
from fleetroll.core.policy import Role
from fleetroll.core.query import OffsetPage
from fleetroll.store.port import Identity, Lease, Records, Replay, Store
from tests.support.stores import (
    ENGINES,
    NOW,
    authority,
    certificate,
    cohort,
    dms,
    document,
    event,
    group,
    hardware_version,
    key,
    metadata_field,
    organization,
    owner,
    software_version,
    tag,
    template,
)

pytestmark = pytest.mark.anyio

NO_QUOTA = 1 << 62


# --- organizations ---------------------------------------------------------------------------------------------------


async def below(store: Store, parent: Organization | None, slug: str, **members: Any) -> Organization:
    stored = await store.write(lambda records: records.organizations.insert(organization(parent, slug, **members)))
    assert stored is not None
    return stored


async def test_an_organization_is_kept_with_its_lineage(store: Store, root: Organization) -> None:
    profile = OrganizationProfile("d", "Europe/Berlin", UnitSystem.IMPERIAL, "555", Address("1 Road\nTown", city="Ω"))
    child = await below(store, root, "child", name="Child Ω", disabled=True, quotas={"devices": 7}, profile=profile)
    grandchild = await below(store, child, "child")
    assert child.lineage == (root.id, child.id)
    assert grandchild.lineage == (root.id, child.id, grandchild.id)
    assert (child.parent, child.name, child.disabled, child.quotas) == (root.id, "Child Ω", True, {"devices": 7})
    for one in (root, child, grandchild):
        assert await store.read.organizations.get(one.id) == one
    assert await store.read.organizations.child(root.id, "child") == child
    assert await store.read.organizations.child(child.id, "child") == grandchild
    assert await store.read.organizations.child(grandchild.id, "child") is None
    assert await store.read.organizations.get(grandchild.id + 1) is None


async def test_a_slug_is_taken_only_among_its_siblings(store: Store, root: Organization) -> None:
    child = await below(store, root, "a")
    for parent, slug in ((root, "a"), (None, "default")):
        new = organization(parent, slug)
        assert await store.write(lambda records, new=new: records.organizations.insert(new)) is None
    assert await below(store, root, "A") != child
    assert await below(store, child, "a") != child


async def test_children_come_by_slug_in_byte_order(store: Store, root: Organization) -> None:
    for slug in ("b", "a", "_", "B", "a-1", "aa", "9"):
        await below(store, root, slug)
    nested = await store.read.organizations.child(root.id, "a")
    await below(store, nested, "c")
    everything = [one.slug for one in await store.scan.organizations.children(root.id, "", 100)]
    assert everything == ["9", "B", "_", "a", "a-1", "aa", "b"]
    assert [one.slug for one in await store.scan.organizations.children(root.id, "B", 3)] == ["_", "a", "a-1"]
    assert await store.scan.organizations.children(root.id, "b", 3) == []
    by_id = ["b", "a", "_", "B", "a-1", "aa", "9"]
    for limit, skip in ((100, 0), (3, 0), (3, 2), (3, 6), (3, 7)):
        found = await store.scan.organizations.children_at(root.id, limit, skip)
        assert [one.slug for one in found] == by_id[skip:][:limit]


async def test_names_of_all_below_an_organization_come_by_id(store: Store, root: Organization) -> None:
    one, other = await below(store, root, "b", name="B Ω"), await below(store, root, "a", name="A")
    nested = await below(store, one, "c", name="C")
    assert await store.scan.organizations.names_below(root.id) == [
        (org.id, org.name) for org in (root, one, other, nested)
    ]
    assert await store.scan.organizations.names_below(one.id) == [(one.id, "B Ω"), (nested.id, "C")]
    assert await store.scan.organizations.names_below(nested.id + 1) == []


async def test_what_is_used_below_an_organization_is_told_by_its_number(store: Store, root: Organization) -> None:
    one, other = await below(store, root, "b"), await below(store, root, "a")
    nested = await below(store, one, "c")
    for org, count in ((root, 1), (nested, 3), (other, 2)):
        await store.write(lambda records, org=org, count=count: records.usage.add(org.id, "devices", count, 9))
    await store.write(lambda records: records.usage.add(root.id, "owners", 5, 9))
    assert await store.scan.usage.below(root.id, "devices") == {root.id: 1, other.id: 2, nested.id: 3}
    assert list(await store.scan.usage.below(root.id, "devices")) == [root.id, other.id, nested.id]
    assert await store.scan.usage.below(one.id, "devices") == {nested.id: 3}


async def test_an_organization_is_replaced_over_the_revision_before(store: Store, root: Organization) -> None:
    child = await below(store, root, "child")
    now = structs.replace(
        child, name="New", disabled=True, quotas={"keys": 1}, updated_at=NOW + 1, revision=child.revision + 1
    )
    assert await store.write(lambda records: records.organizations.replace(now))
    assert not await store.write(lambda records: records.organizations.replace(now))
    assert await store.read.organizations.get(child.id) == now
    gone = structs.replace(now, id=child.id + 100, revision=3)
    assert not await store.write(lambda records: records.organizations.replace(gone))


async def test_a_deleted_organization_leaves_nothing_behind(store: Store, root: Organization, elsewhere: int) -> None:
    child = await below(store, root, "child")

    async def furnish(records: Records) -> None:
        for org in (child.id, elsewhere):
            await records.keys.insert(key(org), f"prefix-{org}", "digest")
            await records.usage.add(org, "keys", 1, 10)
            await records.timeline.append([event(org, 1)])
            await records.hardware_versions.insert(hardware_version(org, "rev1"))
            await records.software_versions.insert(software_version(org, "main", "1.0"))
            await records.owners.insert(owner(org, "ann"))
            await records.templates.insert(template(org, "Meter"))

    await store.write(furnish)
    await store.write(lambda records: records.organizations.delete(child.id))
    for noun in (store.read.owners, store.read.templates):
        assert [len(await noun.page(org, "", 10)) for org in (child.id, elsewhere)] == [0, 1]
    assert await store.read.organizations.get(child.id) is None
    assert await store.read.keys.identify(f"prefix-{child.id}") is None
    assert await store.read.usage.of(child.id) == {}
    assert await store.read.timeline.since(child.id, 0, 10) == []
    assert await store.read.hardware_versions.get(child.id, "rev1") is None
    assert await store.read.software_versions.get(child.id, "main", "1.0") is None
    assert await store.read.hardware_versions.get(elsewhere, "rev1") is not None
    assert await store.read.software_versions.get(elsewhere, "main", "1.0") is not None
    assert await store.read.keys.identify(f"prefix-{elsewhere}") is not None
    assert await store.read.usage.of(elsewhere) == {"keys": 1}
    assert len(await store.read.timeline.since(elsewhere, 0, 10)) == 1
    again = await below(store, root, "child")
    assert again.id > child.id


# --- software versions -----------------------------------------------------------------------------------------------


async def test_a_software_version_is_known_once_by_type_and_version(store: Store, org: int, elsewhere: int) -> None:
    async def work(records: Records) -> None:
        for where, type, version in (
            (org, "main", "2"),
            (org, "main", "10"),
            (org, "app", "2"),
            (elsewhere, "main", "2"),
        ):
            assert await records.software_versions.insert(software_version(where, type, version)) is not None
        assert await records.software_versions.insert(software_version(org, "main", "2")) is None

    await store.write(work)
    found = await store.scan.software_versions.page(org, ("", ""), 10)
    assert [(one.type, one.version) for one in found] == [("app", "2"), ("main", "10"), ("main", "2")]
    assert len({one.id for one in found}) == 3
    assert await store.scan.software_versions.page(org, ("app", "2"), 1) == [found[1]]
    for one in found:
        assert await store.read.software_versions.get(org, one.type, one.version) == one
    assert await store.read.software_versions.get(elsewhere, "main", "10") is None

    async def forgotten(records: Records) -> tuple[bool, bool, bool]:
        delete = records.software_versions.delete
        return await delete(elsewhere, found[1].id), await delete(org, found[1].id), await delete(org, found[1].id)

    assert await store.write(forgotten) == (False, True, False)
    assert found[1] not in await store.scan.software_versions.page(org, ("", ""), 10)


# --- keys ------------------------------------------------------------------------------------------------------------


async def test_a_key_is_identified_with_its_organization(store: Store, root: Organization, elsewhere: int) -> None:
    new = key(
        elsewhere,
        name="ci",
        kind=KeyKind.OAUTH,
        role=Role.OPERATOR,
        scopes=("devices:read", "devices:write"),
        expires_at=NOW + 9,
    )
    made = await store.write(lambda records: records.keys.insert(new, "prefix", "digest"))
    assert made == structs.replace(new, id=made.id)
    home = await store.read.organizations.get(elsewhere)
    assert await store.read.keys.identify("prefix") == Identity(made, "digest", home)
    assert await store.read.keys.get(elsewhere, made.id) == made
    assert await store.read.keys.get(root.id, made.id) is None
    assert await store.read.keys.identify("PREFIX") is None


async def test_a_key_is_revoked_once_and_by_its_own_organization(store: Store, org: int, elsewhere: int) -> None:
    made = await store.write(lambda records: records.keys.insert(key(org), "prefix", "digest"))
    beside = await store.write(lambda records: records.keys.insert(key(org), "beside", "digest"))
    assert not await store.write(lambda records: records.keys.revoke(elsewhere, made.id, NOW + 1))
    assert await store.write(lambda records: records.keys.revoke(org, made.id, NOW + 2))
    assert not await store.write(lambda records: records.keys.revoke(org, made.id, NOW + 3))
    assert not await store.write(lambda records: records.keys.revoke(org, beside.id + 1, NOW + 3))
    assert await store.read.keys.get(org, beside.id) == beside
    found = await store.read.keys.identify("prefix")
    assert found is not None
    assert found.key == structs.replace(made, revoked_at=NOW + 2)


async def test_the_time_of_last_use_only_moves_forward(store: Store, org: int, elsewhere: int) -> None:
    made = [
        await store.write(lambda records, place=place: records.keys.insert(key(place), f"prefix-{place}", "digest"))
        for place in (org, elsewhere)
    ]
    for used in ({made[0].id: NOW + 5, made[1].id: NOW + 1, 999: NOW}, {made[0].id: NOW + 3, made[1].id: NOW + 3}, {}):
        await store.write(lambda records, used=used: records.keys.touch(used))
    found = [await store.read.keys.get(one.org, one.id) for one in made]
    assert [one.last_used_at for one in found if one] == [NOW + 5, NOW + 3]


async def test_keys_come_by_id(store: Store, org: int, elsewhere: int) -> None:
    for number in range(6):
        place = elsewhere if number == 2 else org
        new = key(place, name=f"{9 - number}")
        await store.write(lambda records, new=new: records.keys.insert(new, f"prefix-{new.name}", "digest"))
    found = await store.scan.keys.page(org, 0, 3)
    assert [one.name for one in found] == ["9", "8", "6"]
    assert [one.name for one in await store.scan.keys.page(org, found[-1].id, 3)] == ["5", "4"]


# --- tokens ----------------------------------------------------------------------------------------------------------


async def test_a_token_is_known_to_its_key_by_its_digest(store: Store, org: int, elsewhere: int) -> None:
    await store.write(lambda records: records.tokens.insert(org, 1, "a", NOW, refreshes=False))
    assert await store.read.tokens.get(org, 1, "a") == NOW
    for other in ((org, 1, "b"), (org, 2, "a"), (elsewhere, 1, "a")):
        assert await store.read.tokens.get(*other) is None
        assert await store.write(lambda records, other=other: records.tokens.take(*other)) is None
    assert await store.write(lambda records: records.tokens.take(org, 1, "a")) is None, "it refreshes nothing"
    await store.write(lambda records: records.organizations.delete(org))
    assert await store.read.tokens.get(org, 1, "a") is None


async def test_a_refresh_token_is_taken_once_and_is_no_access_token(store: Store, org: int) -> None:
    await store.write(lambda records: records.tokens.insert(org, 1, "a", NOW, refreshes=True))
    assert await store.read.tokens.get(org, 1, "a") is None
    taken = [await store.write(lambda records: records.tokens.take(org, 1, "a")) for _ in range(2)]
    assert taken == [NOW, None]


async def test_expired_tokens_of_a_key_are_purged(store: Store, org: int) -> None:
    async def work(records: Records) -> list[int]:
        for digest, expires_at in (("a", NOW - 1), ("b", NOW), ("c", NOW + 1)):
            await records.tokens.insert(org, 1, digest, expires_at, refreshes=digest == "b")
        await records.tokens.insert(org, 2, "a", NOW - 1, refreshes=False)
        return [await records.tokens.purge(org, key, before) for key, before in ((1, NOW), (1, NOW + 2), (3, NOW))]

    assert await store.write(work) == [2, 0, 0]
    assert await store.read.tokens.get(org, 2, "a") == NOW - 1


async def test_all_tokens_of_a_key_end_and_nobody_elses(store: Store, org: int, elsewhere: int) -> None:
    whose = [(org, 1), (org, 2), (elsewhere, 1)]

    async def work(records: Records) -> list[int]:
        for place, number in whose:
            await records.tokens.insert(place, number, "a", NOW, refreshes=False)
            await records.tokens.insert(place, number, "b", NOW, refreshes=True)
        await records.tokens.end(org, 1)
        return [await records.tokens.purge(place, number, NOW) for place, number in whose]

    assert await store.write(work) == [0, 2, 2]


# --- named records ---------------------------------------------------------------------------------------------------

SETTINGS = Settings(
    authority="other",
    admission=Admission(Proof.NONE, ("a", "b"), allow_expired=True, levels=None),
    registration=Registration.PRE_REGISTRATION,
    replaceable=True,
    profile=Profile(("t",), document('{"m":1.50}'), document('{"lamassu":{"icon":"i"}}')),
    renewal=Renewal(("c",), True, False, 5),
    windows=Windows(3, 2),
    distribution=Distribution(False, ("d",)),
    keygen=PublicKeyKind(KeyType.RSA, 3072),
    lifetime=7,
    with_names=True,
)
NAMED = {
    "owners": (
        owner,
        "ref",
        {
            "name": "Ann Ω",
            "phone": "+1 555",
            "address": "1 Road\nTown",
            "role": OwnerRole.ADMIN,
            "status": OwnerStatus.SUSPENDED,
            "title": "Dr",
            "nickname": "A",
            "time_zone": "UTC",
            "locale": "en",
        },
    ),
    "tags": (tag, "name", {}),
    "groups": (
        group,
        "name",
        {
            "description": "those in use",
            "filter": 'tags:"x y"',
            "uid": "6f1c8f8e-4c5e-4a62-9d57-0b2f3f1f7a10",
            "parent_id": 7,
            "criteria": (Criterion("ident", "ct", "é"), Criterion("tags", "contains", "x")),
        },
    ),
    "metadata_fields": (metadata_field, "name", {"kind": FieldKind.INTEGER, "description": "d", "required": True}),
    "templates": (
        template,
        "name",
        {
            "description": "d",
            "board": "ESP32",
            "connection": "WI_FI",
            "datastreams": (Datastream(1, "v1", DatastreamKind.ENUM, "mode", "Mode", "u", "U", -1.5, 2.0, "x"),),
            "events": (EventCode(2, "hot", "Hot", EventKind.CRITICAL, "é", 3),),
            "metafields": (Metafield(3, "f", MetafieldKind.LIST, "d", "h", "i", True, True, ("a",), (4,), "a"),),
            "last_part": 3,
        },
    ),
    "dms": (
        dms,
        "name",
        {"title": "Line Ω", "settings": SETTINGS, "metadata": document('{"a":1}'), "extras": document('{"b":[]}')},
    ),
    "authorities": (authority, "name", {}),
    "cohorts": (cohort, "slug", {"name": "Beta Channel"}),
    "hardware_versions": (hardware_version, "name", {"software_type": "main"}),
}


@pytest.fixture(params=NAMED)
def noun(request: pytest.FixtureRequest) -> Any:
    """The noun's verbs over given records, its builder, its name's member, and other members."""
    build, label, members = NAMED[request.param]
    return lambda records: getattr(records, request.param), build, label, members


async def test_a_named_record_is_kept_as_it_was_given(store: Store, org: int, elsewhere: int, noun: Any) -> None:
    verbs, build, _, members = noun
    plain = await store.write(lambda records: verbs(records).insert(build(org, "plain")))
    full = await store.write(lambda records: verbs(records).insert(build(org, "full Ω", **members)))
    assert (plain, full) == (build(org, "plain", id=plain.id), build(org, "full Ω", id=full.id, **members))
    assert await verbs(store.read).get(org, "full Ω") == full
    assert await verbs(store.read).get(elsewhere, "full Ω") is None
    assert await verbs(store.read).get(org, "Plain") is None


async def test_a_name_is_taken_once_in_each_organization(store: Store, org: int, elsewhere: int, noun: Any) -> None:
    verbs, build, _, _ = noun
    made = await store.write(lambda records: verbs(records).insert(build(org, "a")))
    assert await store.write(lambda records: verbs(records).insert(build(org, "a"))) is None
    assert (await store.write(lambda records: verbs(records).insert(build(org, "A")))).id != made.id
    assert (await store.write(lambda records: verbs(records).insert(build(elsewhere, "a")))).id != made.id


async def test_a_named_record_is_replaced_over_the_revision_before(
    store: Store, org: int, elsewhere: int, noun: Any
) -> None:
    verbs, build, label, members = noun
    made, beside = [
        await store.write(lambda records, of=of: verbs(records).insert(build(org, of))) for of in ("a", "c")
    ]
    now = structs.replace(made, **members, **{label: "b"}, revision=2, updated_at=NOW + 1)
    stolen = structs.replace(now, org=elsewhere)
    assert not await store.write(lambda records: verbs(records).replace(stolen))
    assert await store.write(lambda records: verbs(records).replace(now))
    assert not await store.write(lambda records: verbs(records).replace(now))
    assert await verbs(store.read).get(org, "b") == now
    assert await verbs(store.read).get(org, "a") is None
    assert await verbs(store.read).get(org, "c") == beside


async def test_a_named_record_is_deleted_by_its_own_organization(
    store: Store, org: int, elsewhere: int, noun: Any
) -> None:
    verbs, build, _, _ = noun
    beside, made = [
        await store.write(lambda records, of=of: verbs(records).insert(build(org, of))) for of in ("c", "a")
    ]
    assert not await store.write(lambda records: verbs(records).delete(elsewhere, made.id))
    assert await verbs(store.read).get(org, "a") == made
    assert await store.write(lambda records: verbs(records).delete(org, made.id))
    assert not await store.write(lambda records: verbs(records).delete(org, made.id))
    assert await verbs(store.read).get(org, "c") == beside
    again = await store.write(lambda records: verbs(records).insert(build(org, "a")))
    assert again.id > made.id


async def test_named_records_come_by_name_in_byte_order(store: Store, org: int, elsewhere: int, noun: Any) -> None:
    verbs, build, label, _ = noun
    names = ["b", "B", "\U0001f600", "\uffff", "é", "z", "a b", "a%", "a_"]

    async def work(records: Records) -> None:
        for name in names:
            await verbs(records).insert(build(org, name))
        await verbs(records).insert(build(elsewhere, "c"))

    await store.write(work)
    ordered = sorted(names, key=str.encode)
    assert [getattr(one, label) for one in await verbs(store.scan).page(org, "", 100)] == ordered
    assert [getattr(one, label) for one in await verbs(store.scan).page(org, ordered[3], 3)] == ordered[4:7]
    assert [getattr(one, label) for one in await verbs(store.scan).page(org, ordered[0], 3, 2)] == ordered[3:6]
    assert await verbs(store.scan).page(org, ordered[-1], 3) == []


@pytest.mark.parametrize("noun", ["owners", "templates", "authorities"], indirect=True)
async def test_a_record_is_found_by_number_in_its_organization(
    store: Store, org: int, elsewhere: int, noun: Any
) -> None:
    verbs, build, _, _ = noun
    made = await store.write(lambda records: verbs(records).insert(build(org, "a")))
    assert await verbs(store.read).by_id(org, made.id) == made
    assert await verbs(store.read).by_id(elsewhere, made.id) is None


@pytest.mark.parametrize("noun", ["owners", "templates"], indirect=True)
async def test_a_record_is_found_by_number_from_every_organization_above(
    store: Store, root: Organization, noun: Any
) -> None:
    verbs, build, _, _ = noun
    one, other = await below(store, root, "one"), await below(store, root, "other")
    nested = await below(store, one, "nested")
    made = await store.write(lambda records: verbs(records).insert(build(nested.id, "a")))
    for place in (root, one, nested):
        assert await verbs(store.read).home(place.id, made.id) == nested.id
    for place, number in ((other, made.id), (root, made.id + 1), (nested, 0)):
        assert await verbs(store.read).home(place.id, number) is None


async def test_the_organizations_of_an_owner_are_told_from_every_organization_above(
    store: Store, root: Organization
) -> None:
    one, other = await below(store, root, "one"), await below(store, root, "other")
    nested = await below(store, one, "nested")
    for place in (nested, other, root):
        await store.write(lambda records, place=place: records.owners.insert(owner(place.id, "ann@example.com")))
    await store.write(lambda records: records.owners.insert(owner(one.id, "bob@example.com")))
    homes = store.scan.owners.homes
    assert await homes(root.id, "ann@example.com") == [root.id, other.id, nested.id]
    assert await homes(one.id, "ann@example.com") == [nested.id]
    assert await homes(other.id, "bob@example.com") == []


# --- certificates ----------------------------------------------------------------------------------------------------


async def issued(store: Store, *new: Certificate) -> list[Certificate]:
    async def work(records: Records) -> list[Certificate]:
        return [await records.certificates.insert(one) for one in new]

    return await store.write(work)


async def test_an_authority_keeps_what_it_signs_with(store: Store, org: int) -> None:
    made = await store.write(lambda records: records.authorities.insert(authority(org, "a")))
    foreign = await store.write(lambda records: records.authorities.insert(authority(org, "b", sealed_key=None)))
    assert made is not None
    assert foreign is not None
    now = structs.replace(made, name="c", certificate=b"other", sealed_key=None, not_after=NOW + 9, revision=2)
    assert await store.write(lambda records: records.authorities.replace(now))
    assert await store.read.authorities.get(org, "c") == structs.replace(made, name="c", revision=2)
    assert await store.read.authorities.by_id(org, foreign.id) == foreign


async def test_a_list_follows_the_latest_alone(store: Store, org: int, elsewhere: int) -> None:
    made, other = [
        await store.write(lambda records, name=name: records.authorities.insert(authority(org, name))) for name in "ab"
    ]

    async def publish(last: Edition, new: Edition, org: int = org) -> bool:
        return await store.write(lambda records: records.authorities.publish(org, made.id, last, new))

    first, second = Edition(7, NOW, "one"), Edition(8, NOW - 5, "other")
    assert await store.read.authorities.edition(org, made.id) == Edition()
    assert not await publish(Edition(), first, elsewhere)
    assert await publish(Edition(), first)
    assert not await publish(Edition(), second)
    assert await publish(first, second)
    assert await store.scan.authorities.edition(org, made.id) == second
    assert await store.read.authorities.edition(org, other.id) == Edition()
    assert await store.read.authorities.edition(elsewhere, made.id) is None
    assert await store.write(lambda records: records.authorities.delete(org, made.id))
    assert await store.read.authorities.edition(org, made.id) is None
    assert not await publish(second, first)


async def test_authorities_of_everybody_are_known(store: Store, org: int, elsewhere: int) -> None:
    for number, place in enumerate((org, elsewhere, org)):
        new = authority(place, f"ca-{number}", certificate=b"%d" % number)
        await store.write(lambda records, new=new: records.authorities.insert(new))
    first, second, third = await store.scan.authorities.everywhere(0, 10)
    assert [first[1], second[1], third[1]] == [b"0", b"1", b"2"]
    assert await store.scan.authorities.everywhere(first[0], 1) == [second]


async def test_a_certificate_is_found_by_its_serial_number(store: Store, org: int, elsewhere: int) -> None:
    new = certificate(org, "0a", device=5, dms="line")
    (made,) = await issued(store, new)
    assert made == structs.replace(new, id=made.id)
    assert await store.read.certificates.get(org, "0a") == made
    assert await store.read.certificates.get(elsewhere, "0a") is None
    assert await store.read.certificates.get(org, "0A") is None
    (other,) = await issued(store, certificate(elsewhere, "0a"))
    assert other.id != made.id


async def test_certificates_come_by_number(store: Store, org: int, elsewhere: int) -> None:
    owners = [(org, 1, 7), (org, 2, 7), (elsewhere, 1, 7), (org, 1, None), (org, 1, 8)]
    new = [
        certificate(place, f"{number:02x}", authority=by, device=device)
        for number, (place, by, device) in enumerate(owners)
    ]
    a, b, _, d, e = await issued(store, *new)
    certificates = store.scan.certificates
    assert await certificates.page(org, 0, 10) == [a, b, d, e]
    assert await certificates.page(org, a.id, 2) == [b, d]
    assert await certificates.of_authority(org, 1, 0, 10) == [a, d, e]
    assert await certificates.of_authority(org, 1, a.id, 1) == [d]
    assert await certificates.of_device(org, 7, 0, 10) == [a, b]
    assert await certificates.of_device(org, 7, a.id, 10) == [b]
    await store.write(lambda records: records.certificates.forget(org, 1))
    assert await certificates.page(org, 0, 10) == [b]
    assert len(await certificates.page(elsewhere, 0, 10)) == 1


async def test_a_certificate_is_revoked_once_and_by_its_own_organization(
    store: Store, org: int, elsewhere: int
) -> None:
    made, beside = await issued(store, certificate(org, "0a"), certificate(org, "0c"))

    async def revoke(place: int, serial: str, at: int) -> bool:
        return await store.write(lambda records: records.certificates.revoke(place, serial, at, Reason.KEY_COMPROMISE))

    assert not await revoke(elsewhere, "0a", NOW + 1)
    assert not await revoke(org, "0b", NOW + 1)
    assert await revoke(org, "0a", NOW + 2)
    assert not await revoke(org, "0a", NOW + 3)
    hold = Reason.CERTIFICATE_HOLD
    assert not await store.write(lambda records: records.certificates.revoke(org, "0a", NOW + 3, hold))
    found = await store.read.certificates.get(org, "0a")
    assert found == structs.replace(made, revoked_at=NOW + 2, reason=Reason.KEY_COMPROMISE)
    assert await store.read.certificates.get(org, "0c") == beside
    assert not await store.write(lambda records: records.certificates.restore(org, "0a"))


async def test_a_certificate_comes_back_from_hold_alone(store: Store, org: int, elsewhere: int) -> None:
    made, beside = await issued(store, certificate(org, "0a"), certificate(org, "0c"))
    hold = Reason.CERTIFICATE_HOLD
    assert not await store.write(lambda records: records.certificates.restore(org, "0a"))
    assert await store.write(lambda records: records.certificates.revoke(org, "0a", NOW, hold))
    assert not await store.write(lambda records: records.certificates.restore(elsewhere, "0a"))
    assert not await store.write(lambda records: records.certificates.restore(org, beside.serial))
    assert await store.write(lambda records: records.certificates.restore(org, "0a"))
    assert await store.read.certificates.get(org, "0a") == made
    assert await store.write(lambda records: records.certificates.revoke(org, "0a", NOW, hold))
    assert not await store.write(lambda records: records.certificates.revoke(org, "0a", NOW + 1, hold))
    assert await store.write(lambda records: records.certificates.revoke(org, "0a", NOW + 2, Reason.SUPERSEDED))
    found = await store.read.certificates.get(org, "0a")
    assert found is not None
    assert (found.revoked_at, found.reason) == (NOW, Reason.SUPERSEDED)
    assert not await store.write(lambda records: records.certificates.restore(org, "0a"))


async def test_what_an_authority_revoked_is_listed_until_it_expires(store: Store, org: int, elsewhere: int) -> None:
    places = [(org, 1, NOW + 9), (org, 1, NOW + 5), (org, 2, NOW + 9), (elsewhere, 1, NOW + 9), (org, 1, NOW + 9)]
    new = [
        certificate(place, f"{number:02x}", authority=by, not_after=ends)
        for number, (place, by, ends) in enumerate(places)
    ]
    made = await issued(store, *new, certificate(org, "99", not_after=NOW + 9))
    for one in made[:-1]:
        await store.write(
            lambda records, one=one: records.certificates.revoke(one.org, one.serial, NOW + 1, Reason.SUPERSEDED)
        )
    found = await store.scan.certificates.revoked(org, 1, NOW + 5, 0, 10)
    assert found == [Revocation(one.id, one.serial, NOW + 1, Reason.SUPERSEDED) for one in (made[0], made[4])]
    assert await store.scan.certificates.revoked(org, 1, NOW + 5, made[0].id, 10) == found[1:]
    assert len(await store.scan.certificates.revoked(org, 1, NOW, 0, 2)) == 2
    assert await store.scan.certificates.counts(org, NOW + 9) == {1: Tally(4, 3, 1), 2: Tally(1, 1, 0)}
    assert await store.scan.certificates.counts(elsewhere, NOW) == {1: Tally(1, 1, 0)}


async def test_what_was_revoked_is_known_to_everybody_and_outlives_its_authority(
    store: Store, org: int, elsewhere: int
) -> None:
    kept, forgotten = certificate(org, "0a", der=b"kept"), certificate(elsewhere, "0a", der=b"forgotten")
    await issued(store, kept, forgotten, certificate(org, "0b"))
    revoked_anywhere = store.scan.certificates.revoked_anywhere
    assert await revoked_anywhere("0a") == []
    for place in (org, elsewhere):
        await store.write(
            lambda records, place=place: records.certificates.revoke(place, "0a", NOW, Reason.CERTIFICATE_HOLD)
        )
    assert sorted(await revoked_anywhere("0a")) == [b"forgotten", b"kept"]
    await store.write(lambda records: records.certificates.forget(elsewhere, 1))
    await store.write(lambda records: records.certificates.restore(org, "0a"))
    assert await revoked_anywhere("0a") == [b"forgotten"]
    await store.write(lambda records: records.certificates.forget(org, 1))
    assert await store.scan.certificates.page(org, 0, 10) == []
    assert (await revoked_anywhere("0a"), await revoked_anywhere("0b")) == ([b"forgotten"], [])


# --- timeline --------------------------------------------------------------------------------------------------------


async def written(store: Store, *events: NewEvent) -> list[Event]:
    last = await store.read.timeline.last()
    await store.write(lambda records: records.timeline.append(events))
    return await store.read.timeline.published(last, len(events))


@pytest.mark.parametrize("count", [1, 3, 40])
async def test_events_are_kept_in_the_order_they_were_written(store: Store, org: int, count: int) -> None:
    data = document('{"changed":["name"],"b":"Ω\\n\\"","a":1.50}')
    new = [event(org, number, at=NOW - number, name=f'"{number}" Ω', data=data) for number in range(count)]
    found = await written(store, *new)
    assert [structs.asdict(one) for one in found] == [
        {"id": one.id, **structs.asdict(given)} for one, given in zip(found, new, strict=True)
    ]
    assert [one.id for one in found] == sorted({one.id for one in found})
    assert await store.read.timeline.last() == found[-1].id


async def test_a_store_without_events_has_none_to_tell(store: Store, org: int) -> None:
    await store.write(lambda records: records.timeline.append([]))
    assert await store.read.timeline.last() == 0
    assert await store.read.timeline.published(0, 10) == []


async def test_events_are_read_by_device_and_by_organization(store: Store, org: int, elsewhere: int) -> None:
    about_one = event(org, 1)
    found = await written(
        store, about_one, event(org, 2), about_one, event(elsewhere, 1), event(org, 1, subject="owner"), about_one
    )
    ones = [found[0], found[2], found[5]]
    last = found[-1].id
    timeline = store.scan.timeline
    assert await timeline.of_device(org, 1, last + 1, 10) == ones[::-1]
    assert await timeline.of_device(org, 1, last, 10) == ones[1::-1]
    assert await timeline.of_device(org, 1, last + 1, 2) == ones[:0:-1]
    assert await timeline.since(org, 0, 10) == [one for one in found if one.org == org]
    assert await timeline.since(org, found[0].id, 2) == [found[1], found[2]]
    assert await timeline.published(found[1].id, 2) == found[2:4]
    assert await timeline.published(last, 2) == []


async def test_a_forgotten_device_leaves_the_others(store: Store, org: int, elsewhere: int) -> None:
    found = await written(
        store, event(org, 1), event(org, 2), event(elsewhere, 1), event(org, 1, subject="owner"), event(org, 1)
    )
    await store.write(lambda records: records.timeline.forget(org, 1))
    assert await store.read.timeline.published(0, 10) == found[1:4]
    (new,) = await written(store, event(org, 1))
    assert new.id > found[-1].id


async def test_a_device_takes_its_events_along(store: Store, org: int, elsewhere: int) -> None:
    found = await written(store, event(org, 1), event(org, 2), event(org, 1, subject="owner"))
    await store.write(lambda records: records.timeline.move(org, 1, elsewhere))
    moved = structs.replace(found[0], org=elsewhere)
    assert await store.read.timeline.since(elsewhere, 0, 10) == [moved]
    assert await store.read.timeline.of_device(elsewhere, 1, 99, 10) == [moved]
    assert await store.read.timeline.since(org, 0, 10) == found[1:]


async def test_events_of_some_types_are_read_by_place_and_counted(store: Store, org: int, elsewhere: int) -> None:
    wanted = ("device.connected", "device.event.warning")
    new = [event(org, 1, type=type) for type in (*wanted, "device.updated", *wanted)]
    beside = [(org, 2, "device"), (elsewhere, 1, "device"), (org, 1, "owner")]
    others = [event(place, number, type=wanted[0], subject=subject) for place, number, subject in beside]
    found = await written(store, *new, *others)
    ones = [found[place] for place in (4, 3, 1, 0)]
    timeline = store.scan.timeline
    assert await timeline.of_types(org, 1, wanted, OffsetPage(10)) == (ones, 4)
    assert await timeline.of_types(org, 1, wanted, OffsetPage(2, 1)) == (ones[1:3], 4)
    assert await timeline.of_types(org, 1, wanted, OffsetPage(10, 4)) == ([], 4)
    assert await timeline.of_types(org, 1, wanted[:1], OffsetPage(10)) == ([found[3], found[0]], 2)
    assert await timeline.of_types(org, 1, (), OffsetPage(10)) == ([], 0)
    await store.write(lambda records: records.timeline.forget_types(org, 1, wanted))
    assert await timeline.published(0, 10) == [found[2], *found[5:]]


async def test_what_keys_did_is_told_apart_from_what_others_did(store: Store, org: int) -> None:
    actors = ("key:1", "device:1", "server", "key:20", "keyring", "key")
    found = await written(store, *(event(org, 1, actor=actor) for actor in actors))
    ones = [found[3], found[0]]
    assert await store.scan.timeline.by_keys(org, 1, OffsetPage(10)) == (ones, 2)
    assert await store.scan.timeline.by_keys(org, 1, OffsetPage(1, 1)) == (ones[1:], 2)
    assert await store.scan.timeline.by_keys(org, 2, OffsetPage(10)) == ([], 0)


# --- quotas ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "answers", "used"),
    [
        ([(1, 1)], [True], 1),
        ([(1, 0)], [False], None),
        ([(2, 1)], [False], None),
        ([(0, 0)], [True], 0),
        ([(3, 3), (1, 3)], [True, False], 3),
        ([(2, 3), (2, 3), (1, 3)], [True, False, True], 3),
        ([(3, 3), (-1, 3), (1, 3)], [True, True, True], 3),
        ([(5, 9), (-1, 2)], [True, True], 4),
        ([(5, 9), (1, 2), (0, 2)], [True, False, False], 5),
        ([(NO_QUOTA - 1, NO_QUOTA), (1, NO_QUOTA), (1, NO_QUOTA)], [True, True, False], NO_QUOTA),
    ],
)
async def test_a_quota_holds(
    store: Store, org: int, elsewhere: int, steps: list[tuple[int, int]], answers: list[bool], used: int | None
) -> None:
    async def work(records: Records) -> list[bool]:
        await records.usage.add(elsewhere, "devices", 7, 10)
        await records.usage.add(org, "keys", 1, 10)
        return [await records.usage.add(org, "devices", count, quota) for count, quota in steps]

    assert await store.write(work) == answers
    expected = {"keys": 1} if used is None else {"keys": 1, "devices": used}
    assert await store.read.usage.of(org) == expected
    assert await store.read.usage.of(elsewhere) == {"devices": 7}


# --- replays ---------------------------------------------------------------------------------------------------------


async def test_a_stored_reply_is_found_by_whose_and_which_it_is(store: Store, org: int, elsewhere: int) -> None:
    first, second = Replay("print", 201, "[]", "sealed Ω", NOW), Replay("other", 409, '[["a","b"]]', "", NOW + 1)
    await store.write(lambda records: records.replays.put(org, 1, "name", first))
    assert await store.read.replays.get(org, 1, "name") == first
    for place, number, name in ((elsewhere, 1, "name"), (org, 2, "name"), (org, 1, "Name")):
        assert await store.read.replays.get(place, number, name) is None
    await store.write(lambda records: records.replays.put(org, 1, "name", second))
    assert await store.read.replays.get(org, 1, "name") == second


async def test_old_replies_are_forgotten_everywhere(store: Store, org: int, elsewhere: int) -> None:
    async def work(records: Records) -> None:
        for place in (org, elsewhere):
            for at in (NOW - 1, NOW, NOW + 1):
                await records.replays.put(place, 1, f"at {at}", Replay("print", 200, "[]", "", at))

    await store.write(work)
    assert [await store.write(lambda records: records.replays.purge(NOW, 1)) for _ in range(3)] == [True, True, False]
    for place in (org, elsewhere):
        found = [await store.read.replays.get(place, 1, f"at {at}") for at in (NOW - 1, NOW, NOW + 1)]
        assert [one is None for one in found] == [True, False, False]


async def test_old_events_are_removed_everywhere_but_for_lives_and_the_newest_of_each_tenant(
    store: Store, org: int, elsewhere: int
) -> None:
    def at(time: int, place: int = org, type: str = "device.updated") -> NewEvent:
        return structs.replace(event(place, 1, type=type), at=time)

    life = [at(1, type=type) for type in ("device.identity_changed", "device.decommissioned")]
    first = [at(1), *life, at(9), at(1), at(2, elsewhere), at(3, elsewhere)]
    await store.write(lambda records: records.timeline.append([*first, at(5), at(1), at(6)]))
    span, last, after = Span(5, 8), await store.read.timeline.last(), 0
    seen = []
    while purged := await store.write(lambda records: records.timeline.purge(span, after, 4)):  # noqa: B023
        seen.append(purged.is_current)
        after = purged.reached
    assert after == last
    assert seen == [False, True, True], "an event from after the span is not within it"
    assert [one.at for one in await store.read.timeline.since(org, 0, 99)] == [1, 1, 9, 5, 6]
    assert [one.at for one in await store.read.timeline.since(elsewhere, 0, 99)] == [3]
    assert await store.read.timeline.last() == last


async def test_the_life_of_devices_is_what_changed_their_status(store: Store, org: int) -> None:
    types = ("device.updated", "device.identity_changed", "device.decommissioned")
    entries = [event(org, subject, type=type) for type in types for subject in (1, 2, 3)]
    await store.write(lambda records: records.timeline.append([*entries, event(org + 1, 1, type=types[1])]))
    found = await store.read.timeline.lives(org, [1, 3], 100)
    assert [(one.subject_id, one.type) for one in found] == [(s, type) for type in types[1:] for s in (1, 3)]
    assert await store.read.timeline.lives(org, [], 100) == []
    for devices in ([1, 3], [1]):
        newest = await store.read.timeline.lives(org, devices, 1)
        assert [(one.subject_id, one.type) for one in newest] == [(device, types[2]) for device in devices]
        both = await store.read.timeline.lives(org, devices, 2)
        assert [(one.subject_id, one.type) for one in both] == [(s, type) for type in types[1:] for s in devices]


# --- leases ----------------------------------------------------------------------------------------------------------


async def test_a_lease_is_taken_and_kept_over_its_present_beat_alone(store: Store) -> None:
    async def beat(holder: str, known: int) -> bool:
        return await store.write(lambda records: records.leases.beat("work", holder, known))

    assert await store.read.leases.get("work") is None
    assert await beat("one", 0)
    assert not await beat("two", 0)
    assert await store.read.leases.get("work") == Lease("one", 1)
    assert await beat("one", 1)
    assert not await beat("one", 1)
    assert await beat("two", 2)
    assert not await beat("one", 2)
    assert await store.read.leases.get("work") == Lease("two", 3)
    assert await store.read.leases.get("other") is None


# --- the server key ---------------------------------------------------------------------------------------------------


async def test_a_store_is_marked_once_and_its_backup_as_well(store: Store, engine: str, tmp_path: Path) -> None:
    async def leave(mark: str, there: Store = store) -> bool:
        return await there.write(lambda records: records.server_key.leave_mark(mark))

    assert await leave("one")
    assert not await leave("two")
    assert await leave("one")
    await store.backup(tmp_path / "backup")
    again = await ENGINES[engine](tmp_path / "backup")
    assert [await leave(mark, again) for mark in ("two", "one")] == [False, True]
    await again.close()
