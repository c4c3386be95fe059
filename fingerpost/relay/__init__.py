"""What both halves of the relay share: frames, pieces, digests. `v1/` holds generated code only."""
