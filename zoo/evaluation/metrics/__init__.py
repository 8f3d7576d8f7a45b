"""One module a metric, or a few that share their work; `table` lists them all."""
