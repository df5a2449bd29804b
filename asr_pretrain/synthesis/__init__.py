"""Synthetic speech: many voices out of few synthesizers, texts to say, and shards of both."""
