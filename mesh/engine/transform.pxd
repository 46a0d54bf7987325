from libc.stdint cimport uint8_t, uint32_t

from gossamer.mesh.engine.types cimport Buffer, Core, Program

cdef void program_apply(Core* core, Program* program, const char* subject, uint32_t size, Buffer* to) noexcept nogil
cdef uint8_t program_narrow(Program* program, const char* subject, uint32_t size, const char* pattern,
                            uint32_t pattern_size, Buffer* to) noexcept nogil
cdef Program* program_read(const char* source, uint32_t source_size, char** packed) noexcept nogil
