"""Use cases: authorise, apply the rule, change the records and write the timeline, all in one transaction."""
