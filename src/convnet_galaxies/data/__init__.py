"""Files to arrays: readers, preprocessing, packs. Numpy only; torch is never imported here."""
