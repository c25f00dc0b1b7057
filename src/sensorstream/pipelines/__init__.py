"""Connected stations, one folder for each path. They own threads, the stop event and the commit order."""
