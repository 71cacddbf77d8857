"""Result -> terminal, html, junit, step summary, comparison."""
