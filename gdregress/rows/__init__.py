"""Where the data are: rows in memory, on dask's workers, or gone; their moments, batches, chunks and checks."""
