"""The Jupyter server's side: owns engines and offers them behind Jupyter's own door."""
