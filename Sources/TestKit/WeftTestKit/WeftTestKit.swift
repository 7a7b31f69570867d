// WeftTestKit: what tests of every room share. Never imported outside Tests.
