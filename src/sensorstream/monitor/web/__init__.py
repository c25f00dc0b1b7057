"""The cluster in a browser: a page on loopback, fed by server-sent events. Nothing of it asks any other host."""
