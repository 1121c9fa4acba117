"""How many devices of a ledger there are, by each table that tells: whatever has happened, all of them must agree."""

COUNTS = (
    "SELECT count(*) FROM device",
    "SELECT coalesce(max(used), 0) FROM quota_usage WHERE noun = 'devices'",
    "SELECT count(DISTINCT subject_id) FROM timeline WHERE type = 'device.created'",
    "SELECT count(*) FROM device_tag WHERE tag = 'ledger'",
    "SELECT coalesce(sum(devices), 0) FROM device_tally",
    "SELECT count(*) FROM device AS d JOIN timeline AS t ON t.subject_id = d.id AND t.name = d.ident",
)
