"""What tests share: builders, clients and processes. No doubles of our own code but at ports."""
