"""What the cluster does, as figures: pure arithmetic on what the admin client reports."""
