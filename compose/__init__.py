"""The world around Operator, for the demo and the tests: nothing here is imported by it."""
