"""The demo: a small language model of the project's own, and what is done with it."""
