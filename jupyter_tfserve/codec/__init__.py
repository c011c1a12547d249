"""Bytes to arrays and back: pure functions, without asyncio, sockets, clock or TensorFlow."""
