"""The fabric in hardware: routers, and meshes of them."""
