"""The HTTP handlers below `<base_url>/jupyter-tfserve/`."""
