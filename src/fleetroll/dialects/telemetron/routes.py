from fleetroll.dialects.native.envelope import ENVELOPE
from fleetroll.wire.dialect import Dialect, Form

DIALECT = Dialect("telemetron", "Telemetron", ("/api/ext-v1/",), (), ENVELOPE, (Form.API_KEY_HEADER,))
