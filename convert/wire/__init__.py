"""Bytes without meaning: checksums, protocol buffers, snappy."""
