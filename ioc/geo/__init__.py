"""Places: reading area files, and answering which area a point lies in. Pure."""
