"""Great Expectations suites and the runner that validates tables by them; nothing here repairs data."""
