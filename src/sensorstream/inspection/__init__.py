"""What a file is: how it is written, what stands in its columns, when its rows were recorded."""
