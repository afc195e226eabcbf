"""Great Expectations suites and their one runner. They judge tables and never repair them."""
