"""The HTTP interface as an OpenAPI document: what can be asked, and what is answered."""
