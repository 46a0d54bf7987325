"""Public test tools: servers as processes, meshes of them, a byte-exact wire client, a pytest plug-in.

The pytest plug-in is ``gossamer.mesh.testing.plugin``; it imports the other modules only when a fixture is used.
"""
