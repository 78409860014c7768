"""The fabric: tiles in a mesh and the routers between them."""
