"""HTTP/2's server side on asyncio (RFC 9113): connections, streams and their limits. Knows nothing of gRPC."""
