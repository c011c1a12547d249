"""Rows into batches: pure queue decisions, assembly of tensors, and the scheduler that feeds free lanes."""
