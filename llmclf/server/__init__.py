"""HTTP: the pages in which people label, and a service that classifies."""
