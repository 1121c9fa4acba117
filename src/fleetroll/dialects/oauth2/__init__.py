"""The OAuth2 token endpoint (RFC 6749)."""
