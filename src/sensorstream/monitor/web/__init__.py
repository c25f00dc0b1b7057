"""The cluster in a browser: a page on the loopback, fed by server-sent events. It loads nothing from other hosts."""
