"""Access to the data: rows in memory, on Dask workers, or already discarded; their moments, chunks and validation."""
