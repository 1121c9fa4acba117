"""The bodies of our own API, by noun.

Unknown members are refused; those that a reply has and nobody may set are ignored.
"""
