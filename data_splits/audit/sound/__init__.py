"""What the audit hears: one decoding a recording, and the rules that judge what was measured there."""
