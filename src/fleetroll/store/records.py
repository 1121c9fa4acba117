"""All nouns over one connection: what `port.Records` promises."""

from fleetroll.core.dms import Dms
from fleetroll.core.model import Cohort, Group, HardwareVersion, MetadataField, Tag, Template
from fleetroll.store import rows
from fleetroll.store.authorities import Authorities
from fleetroll.store.certificates import Certificates
from fleetroll.store.checkin import Checkins
from fleetroll.store.connection import Connection
from fleetroll.store.credentials import Credentials
from fleetroll.store.devices import Devices
from fleetroll.store.ingest import Progress
from fleetroll.store.keys import Keys
from fleetroll.store.leases import Leases
from fleetroll.store.named import Named, Reachable
from fleetroll.store.organizations import Organizations
from fleetroll.store.owners import Owners
from fleetroll.store.presence import Presence
from fleetroll.store.quotas import Usage
from fleetroll.store.replays import Replays
from fleetroll.store.server_key import ServerKey
from fleetroll.store.software_versions import SoftwareVersions
from fleetroll.store.syntax import Syntax
from fleetroll.store.telemetry import Telemetry
from fleetroll.store.timeline import Timeline
from fleetroll.store.tokens import Tokens


class Records:
    """Implements `port.Records`."""

    def __init__(self, connection: Connection, syntax: Syntax) -> None:
        self.organizations = Organizations(connection)
        self.usage = Usage(connection)
        self.keys = Keys(connection)
        self.credentials = Credentials(connection)
        self.progress = Progress(connection)
        self.tokens = Tokens(connection)
        self.devices = Devices(connection, syntax)
        self.owners = Owners(connection)
        self.tags: Named[Tag] = Named(connection, "tag", rows.tag)
        self.groups: Named[Group] = Named(connection, "group", rows.group)
        self.metadata_fields: Named[MetadataField] = Named(connection, "metadata_field", rows.metadata_field)
        self.templates: Reachable[Template] = Reachable(connection, "template", rows.template)
        self.dms: Named[Dms] = Named(connection, "dms", rows.dms)
        self.authorities = Authorities(connection)
        self.certificates = Certificates(connection)
        self.cohorts: Named[Cohort] = Named(connection, "cohort", rows.cohort)
        self.hardware_versions: Named[HardwareVersion] = Named(connection, "hardware_version", rows.hardware_version)
        self.checkins = Checkins(connection)
        self.software_versions = SoftwareVersions(connection)
        self.timeline = Timeline(connection)
        self.telemetry = Telemetry(connection)
        self.presence = Presence(connection)
        self.replays = Replays(connection)
        self.leases = Leases(connection)
        self.server_key = ServerKey(connection)
