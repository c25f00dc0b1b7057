"""The public functions of the package, as ``sensorstream`` re-exports them: the commands' work from Python.

Each takes plain values, returns the frozen result that the command prints as JSON, and raises the errors of
:mod:`sensorstream.errors`; it never prints and never exits. No configuration file is read.
"""
