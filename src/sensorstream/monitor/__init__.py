"""Figures about the cluster: pure arithmetic on what the admin client reports."""
