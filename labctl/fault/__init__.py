"""Acts on a running lab: power, link, impair; each can be undone."""
