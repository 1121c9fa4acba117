"""The numeric bounds that clients and operators meet: bytes, characters and seconds, if nothing else is said.

A vendor's own bounds are its dialect's, and what only one module reckons with, such as a pause, is that module's.
"""

# Requests (enforced while bytes arrive, before anything is decoded).
MAX_BODY = 1 << 20
MAX_BATCH_BODY = 2 << 20  # of a device that reports many points at once
MAX_BODIES = 256 << 20  # of all that have not arrived whole, together
MAX_UNREAD_REPLIES = 256 << 20  # of all that clients have not read yet, together
MAX_TENANT_BODIES = 64 << 20  # of an organization and all below it; the root may use all there is
MAX_FORM = 8 << 10
MAX_ENROLLMENT_BODY = 32 << 10
MAX_HEADER_BLOCK = 16 << 10
MAX_HEADERS = 100
MAX_TARGET = 8 << 10
MAX_QUERY_PARAMETERS = 64
MAX_JSON_DEPTH = 32
MAX_CONTAINERS = 1 << 17  # of a body; a device's four documents, each of its full size, can have as many
HEADER_DEADLINE = 10.0
BODY_STALL_DEADLINE = 30.0
BODY_MINIMUM_RATE = 1024
READER_STALL_DEADLINE = 30.0
KEEP_ALIVE = 30.0
DRAIN_TIME = 8.0
MAX_CONNECTIONS = 10_000  # of a listener
MAX_HANDSHAKES = 1_000  # of TLS, at a time
MAX_SPARE_ANCHORS = 1_000  # of authorities that may be deleted by now, which a TLS context keeps
MAX_OPEN_FILES = 2 * (MAX_CONNECTIONS + MAX_CONNECTIONS // 5) + MAX_HANDSHAKES + 200  # some are just being refused
MAX_WORKERS = 64
MAX_KEPT_DAYS = 36_500
MAX_RATE = 1_000_000_000  # requests a second
MAX_REMEMBERED = 10_000  # entries of one cache
MAX_CHAIN = 8  # certificates, from a client's to that of a trusted authority
MAX_REMEMBERED_LISTS = 100  # of revoked certificates, which can be long

# As the limit of a page: all there is, which quotas bound.
ALL = 1 << 30

# Text.
MAX_IDENT = 256
MAX_NAME = 256
MAX_PLAIN_NAME = 50
MAX_KIND = 128
MAX_VERSION = 128
MAX_TAG = 128
MAX_TAGS = 64
MAX_SLUG = 128
MAX_EMAIL = 254
MAX_TEXT = 4096
MAX_OWNERS_PER_DEVICE = 64
MAX_SCOPES = 32

# Documents: metadata, config, extras.
MAX_DOCUMENT = 64 << 10
MAX_DOCUMENT_DEPTH = MAX_JSON_DEPTH - 1  # so that a device can be sent as it is shown
MAX_DOCUMENT_KEY = 256
MAX_DEVICE = 6 * MAX_DOCUMENT  # as it is shown: four documents, each of its full size; owners, tags and the rest
MIN_INTEGER = -(1 << 63)
MAX_INTEGER = (1 << 64) - 1

# JSON Patch: a patch is an amplifier, so budgets hold after every step.
MAX_PATCH_OPERATIONS = 100
MAX_PATCH = 64 << 10
MAX_POINTER = 1024

# Queries.
DEFAULT_PAGE = 50
MAX_PAGE = 1000
MAX_PAGE_PARTS = 10_000  # of templates
MAX_PAGE_BYTES = 8 << 20  # of more than the usual page: where records are large, it has fewer of them
MAX_NUMBERED_PAGE_BYTES = 64 << 20  # of devices; a page with a number cannot have fewer of them
HEAVY_AT_A_TIME = 10  # templates or DMS that are read, as each of them may be large
MAX_ATTRIBUTES = 100
MAX_NUMBERED_PAGE = 5000  # where pages have numbers
MAX_FILTER = 4096
MAX_FILTER_DEPTH = 16
MAX_PREDICATES = 20
MAX_FILTER_VALUES = 100
MAX_GROUP_DEPTH = 8
MAX_ORGANIZATION_DEPTH = 8
CURSOR_LIFETIME = 24 * 3600
SCAN_TIME = 5.0
MAX_COUNTED_TAGS = 1000
MAX_COUNTED_KINDS = 1000

# Bulk work.
MAX_IMPORT_COLUMNS = 16_384  # of a CSV; a spreadsheet has no more
MAX_IMPORT_LINE = 10 * MAX_DOCUMENT  # a device, whose quotes CSV doubles: two thirds of a document may be quotes
BULK_BATCH = 1_000
BATCH_BYTES = 2 << 20  # of devices that are taken together, however few they are
IMPORT_BATCH = 2_000  # where nobody waits for it
IMPORT_PAUSE = 0.1  # seconds without a row, after which those before are not kept waiting for it
SWEEP_BATCH = 50
RENAME_BATCH = 250  # devices of an owner, each written individually while others wait
MAX_BULK_DEVICES = 1000

# Writes answered by idempotent replay.
MAX_IDEMPOTENCY_KEY = 255
IDEMPOTENCY_LIFETIME = 48 * 3600

# Keys, and what is issued for them.
ACCESS_TOKEN_LIFETIME = 24 * 3600
REFRESH_TOKEN_LIFETIME = 24 * 3600
MAX_GRANTS = 10_000  # tokens of one key at a time
MIN_SECRET = 32  # of a secret that an operator presets
MAX_CREDENTIAL = 1024

# Templates.
MAX_TEMPLATE = 256 << 10  # its parts, as JSON
MAX_DATASTREAMS = 256
MAX_EVENT_CODES = 256
MAX_METAFIELDS = 256
MAX_OPTIONS = 256
MAX_TEMPLATE_SWEEP = 10_000  # devices that a change of a template's datastreams may reach
MAX_EVENT_DESCRIPTION = 300
EVENTS_PER_DAY = 100  # of one device, besides those of codes that have a limit of their own

# What devices send by themselves, in chunks.
MAX_CHUNKS = 1_000
MAX_MESSAGE = 256 << 10
MAX_EVENT = 8 << 10  # the time to decode one may grow with its square; firmware keeps events in buffers of some 1 KiB
EVENTS_EFFORT = 16 * MAX_EVENT**2  # of one request, a sum of squares: that of as many events of 1 KiB as it can have
MAX_KEPT_CHUNK = 8 << 10
KEPT_CHUNKS = 16

# Quotas of one organization, unless it has its own.
DEFAULT_QUOTAS = {
    "devices": 10_000_000,
    "organizations": 10_000,
    "keys": 1_000,
    "owners": 1_000_000,
    "groups": 1_000,
    "tags": 1_000,
    "metadata_fields": 500,
    "dms": 1_000,
    "authorities": 100,
    "templates": 10_000,
    "cohorts": 1_000,
    "hardware_versions": 10_000,
    "software_versions": 100_000,
}

# Server-sent events.
EVENT_HEARTBEAT = 15.0
MAX_EVENT_STREAMS = 1_000
MAX_TENANT_STREAMS = 100  # of an organization and all below it; the root may use all there is
EVENT_BATCH = 32  # that are read at a time: each may have a document
LIVE_READINGS = 1_000  # that wait for one follower
LIVE_BATCH = 200  # that processes tell each other in one message, or the broker at a time

# Certificates.
MAX_CERTIFICATE_REQUEST = 8 << 10
MAX_CERTIFICATE = 16 << 10
MAX_SUBJECT_PARTS = 16
MAX_SUBJECT_TEXT = 256
MAX_ALTERNATIVE_NAMES = 16
MAX_AUTHORITY_NAME = 64
MAX_AUTHORITIES_PER_DMS = 16
MAX_DURATION = 100 * 365 * 86_400 * 1_000_000  # microseconds
MAX_KEYS_DUE, MAX_OWN_KEYS_DUE = 16, 8  # of RSA, in all and of an organization: they are made one after the other
KEY_TIME = 5.0  # in which one of them is nearly always made
MAX_SLOT_EVENTS = 100
MAX_LIFE_EVENTS, MAX_PAGE_EVENTS = 100, 10_000  # that are shown of one device, and of a page of them
MAX_SLOT_VERSIONS = 100

# The broker.
MAX_BUS_PAYLOAD = 8 << 20
BUS_SILENCE = 2.0
MIN_BUS_SILENCE, MAX_BUS_SILENCE = 1.0, 3600.0
MAX_BUS_MESSAGE = 64 << 10
MAX_BUS_REPLICAS = 5  # NATS has no more
BUS_BATCH = 1_000
# On their way from all streams to the store: fewer bytes than the broker lets wait for a client, which are 64 MB.
BUS_BATCHES, BUS_BATCH_BYTES = 24, 2 << 20
BUS_PORTION = 250  # messages that are asked for at a time
BUS_STANDING_BYTES = 8 << 20  # that all idle streams together may send unasked
BUS_REQUESTS = 256
BUS_QUESTIONS = 1_000  # to the broker's stream API at a time: beyond ten thousand it drops them all
BUS_CHANGES = 1_000  # of credentials, of which the broker is told at a time
BUS_SETTLE = 5.0  # that a request which has changed a credential waits until the broker knows
BUS_WAITER = 8 << 10  # what a waiting request takes besides its body
BUS_WAITING, BUS_TENANT_WAITING = 256 << 20, 64 << 20  # of requests of one kind
BUS_INGEST_AGE = 14 * 24 * 3600
BUS_COMMAND_AGE = 7 * 24 * 3600
BUS_QUEUED_COMMANDS = 1_000
BUS_MQTT_BYTES = 16 << 20
BUS_DISK = 1 << 60
BUS_LEAST_ROOM = 16 << 20
BUS_COMMANDS_SHARE = 0.125  # of the free disk
# Of the disk that is free or taken by what organizations' devices have published: what each may take, all together, and
# beyond that, in equal parts, those that have taken little.
BUS_INGEST_SHARE, BUS_INGEST_TOTAL, BUS_INGEST_LAST = 0.125, 0.5, 0.125
BUS_LOOK_BYTES = 4 << 30  # more than a broker writes in the few seconds between two looks at its disk
BUS_CONSUMER_IDLE = 30
BUS_CONSUMERS = 100_000  # of all devices' commands; each takes some 50 KB of the broker's memory
BUS_DEVICE_CONSUMERS = 1_000
BUS_TENANT_CONSUMERS = 0.9  # of those that other organizations leave
BUS_FOLLOWERS = 10_000  # of what devices say, of the applications of one organization, role and scopes
# A device's connection that was lost without a word counts until its silence is over. Each subject that a connection
# subscribes to takes some 500 bytes of the broker's memory.
BUS_DEVICE_CONNECTIONS = 256  # of one credential
BUS_DEVICE_SUBSCRIPTIONS, BUS_APP_SUBSCRIPTIONS = 2_000, 20_000  # of one connection
BUS_LIVE_AGE = 3600
BUS_LIVE_MESSAGES = 10_000
BUS_BUCKET_KEYS = 256
BUS_BUCKET_VALUE = 4 << 10
BUS_LONGEST_CALL = 60.0
LONGEST_CALL = 25.0  # over HTTP, so that its answer is in time

# Readings.
MAX_READINGS = 10_000
# That wait for the broker to take them, so that applications hear them live: of one organization, and of all.
SHOWN_READINGS, ALL_SHOWN_READINGS = MAX_READINGS, 100_000
MAX_READING_TEXT = 1024
MAX_READING_DOCUMENT = 4096
MAX_SERIES_PER_DEVICE = 1_000
MAX_READING_AHEAD = 24 * 3600
MAX_RANGE, DEFAULT_RANGE = 10_000, 1_000  # readings of one reply
READINGS_AT_A_TIME = 250  # that are read: each may have a document
HISTORY_BYTES = 2 << 20  # of values, after which a reply of the history in RelayX's API is full
MAX_BUCKETS = 10_000
VAST_NUMBER = 1e140  # from here on sums of squares may overflow a float, and those of inverses vanish
FORGOTTEN_BATCH = 5_000  # that are deleted in one transaction
MAX_EXPORT_READINGS, MAX_EXPORT_BYTES = 100_000, 32 << 20  # the values alone
EXPORTS_PER_DAY = 10
EXPORT_LIFETIME = 3600  # of the link to one
MAX_PROPERTY = 64

# Presence: for how long traffic counts, and how often it is written down.
QUIET_TIME = 300.0
CLOCK_LEEWAY = 300_000_000  # microseconds; how far apart the clocks of processes may be
HEARD_RESOLUTION = 5.0
QUIET_BATCH = 1_000

MAX_CREDENTIALS_PER_DEVICE = 16
MAX_TIMESTAMP = 4_102_444_800_000  # 2100, in milliseconds
EARLIEST_CLOCK, LATEST_CLOCK = 1_577_836_800, MAX_TIMESTAMP // 1000  # 2020 to 2100: a clock beyond is wrong
