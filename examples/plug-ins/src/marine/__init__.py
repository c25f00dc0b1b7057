"""Plug-ins for sensorstream, one of each kind."""
