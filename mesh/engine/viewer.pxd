# cython: language_level=3
from gossamer.mesh.engine.handle cimport Handle


cdef class Viewer(Handle):
    pass
