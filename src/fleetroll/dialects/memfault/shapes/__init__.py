"""The bodies of the Memfault API, by noun, on the wire as its documentation spells them.

Members that the vendor does not know are ignored. Times are ISO 8601 with six digits and an offset.
"""
