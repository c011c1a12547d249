"""The kernel's side: magics, the Python handle of a server, saving of models. Imports no TensorFlow."""
