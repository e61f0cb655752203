"""Real servers for the tests, on free ports of 127.0.0.1, in directories of their own, gone when the tests are gone."""
