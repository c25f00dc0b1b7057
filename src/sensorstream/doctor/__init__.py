"""Why it does not work: this machine and the way to the cluster, looked at step by step, each with what to do."""
