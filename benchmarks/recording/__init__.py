"""A short life of a stack, recorded: the stream that other teams build against (`examples/stream/`)."""
