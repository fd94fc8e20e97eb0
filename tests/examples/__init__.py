"""The example applications, each as a server's process, over HTTP."""
