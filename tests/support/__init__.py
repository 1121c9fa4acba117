"""What tests share: builders, clients and processes. No doubles of our own code except at ports."""
