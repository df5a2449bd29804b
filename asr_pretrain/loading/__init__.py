"""Which utterance is heard when, and its sound: plans, buckets, packs and shards."""
