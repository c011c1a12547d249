"""Socket to socket: HTTP and gRPC in, predictions out. asyncio; knows the models only through the lifecycle."""
