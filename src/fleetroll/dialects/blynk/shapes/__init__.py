"""The bodies of the Blynk organization API, by noun, on the wire as its documentation spells them.

Times are milliseconds since 1970. Members that the vendor does not know are ignored, as its clients may send more.
"""
