# What `cmake --install` (./bootstrap install) puts where: the same folders beside each other as in the build directory,
# so that everything finds everything by its own place (weft_exe_path, RUNPATH) and the tree can be moved as a whole.
include(GNUInstallDirs)
set(docs ${CMAKE_INSTALL_DATADIR}/doc/weft)

set(commands weft weftd weft-exec weft-scif)
set(libraries weft_shared scif weft_opencl weft_opencl_wrap weft_model_shared)
install(TARGETS ${commands} RUNTIME DESTINATION bin)
install(TARGETS ${libraries} LIBRARY DESTINATION lib ARCHIVE DESTINATION lib)
install(FILES ${CMAKE_BINARY_DIR}/lib/weft_opencl.rsp DESTINATION lib)

install(DIRECTORY include/ DESTINATION include)

# pkg-config files find themselves: ${pcfiledir} is theirs.
set(WEFT_PC_LIBDIR "\${pcfiledir}/..")
set(WEFT_PC_INCLUDEDIR "\${pcfiledir}/../../include")
foreach(name weft scif weft_opencl weft_model)
  file(GLOB_RECURSE template src/*/${name}.pc.in)
  configure_file(${template} ${CMAKE_BINARY_DIR}/install/${name}.pc @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/install/${name}.pc DESTINATION lib/pkgconfig)
endforeach()

install(DIRECTORY share/model DESTINATION ${CMAKE_INSTALL_DATADIR}/weft)
install(FILES share/bash-completion/weft DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
foreach(section 1 3 7 8)
  file(GLOB pages docs/man/*.${section})
  install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
file(GLOB texts docs/*.md)
install(FILES README.md ${texts} DESTINATION ${docs})
install(DIRECTORY examples DESTINATION ${docs} PATTERN CMakeLists.txt EXCLUDE PATTERN *_test.c EXCLUDE)

# What the demo and an installation need: not the tests, nor what only benchmarks use.
get_property(examples DIRECTORY examples PROPERTY BUILDSYSTEM_TARGETS)
list(FILTER examples EXCLUDE REGEX "_test$")
add_custom_target(programs DEPENDS ${commands} ${libraries} ${examples})

# ./bootstrap package
set(CPACK_PACKAGE_CONTACT "the makers of weft <weft@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "makes a cluster of ordinary machines usable as one: OpenCL, SCIF, messages")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_BINARY_DIR}/lib)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ocl-icd-libopencl1 | libopencl1, pocl-opencl-icd | opencl-icd, libhwloc-plugins")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "graphviz, gnuplot-nox, libfabric1, openssh-client")
include(CPack)
