"""Pure rules: values, grammars and tables. No I/O, no clock, no randomness, no await."""
