"""A user's YAML file: its values, the place of each, and what is wrong with it in the user's words."""
