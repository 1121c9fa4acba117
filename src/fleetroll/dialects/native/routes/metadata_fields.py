"""Rows about definitions of metadata."""

from fleetroll.dialects.native.mapping import metadata_fields as mapping
from fleetroll.dialects.native.routes.named import Bodies, Codec, named
from fleetroll.dialects.native.shapes import metadata_fields as shapes
from fleetroll.service import metadata_fields

ROUTES = named(
    "metadata-fields",
    metadata_fields.noun,
    ("a metadata field", "metadata fields"),
    Bodies(shapes.NewMetadataField, shapes.MetadataFieldChange, shapes.MetadataField, shapes.MetadataFieldList),
    Codec(mapping.new_metadata_field, mapping.change_metadata_field, mapping.metadata_field),
)
