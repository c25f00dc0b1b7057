"""Station 5: links that can be slowed and cut: a proxy in front of every broker and controller of a cluster."""
