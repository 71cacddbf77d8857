"""Journal -> result. Pure: the same journal gives the same verdict, offline."""
