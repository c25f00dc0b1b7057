"""Why commands fail: checks of this machine and of the connection to the cluster, each with advice."""
