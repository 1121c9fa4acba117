"""The Blynk organization API."""
