"""Look at candidates and grade them: the page, its server and database, what grades tell."""
