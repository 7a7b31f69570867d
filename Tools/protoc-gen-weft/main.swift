// Parse, compose, run.
