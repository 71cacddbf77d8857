"""The containerlab file format: our definitions and files of others. Knows no runtime, runs nothing."""
