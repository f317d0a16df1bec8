# cmake -DOUTPUT=x.cpp "-DFILES=a.toml;b.toml" -P EmbedPresets.cmake
# Writes the machine files into a C++ table, sorted by name (see sim/presets/embedded.h).
set(entries "")
foreach(path ${FILES})
  get_filename_component(name ${path} NAME_WE)
  file(READ ${path} text)
  string(APPEND entries "    {\"${name}\", R\"npu_preset(${text})npu_preset\"},\n")
endforeach()
file(WRITE ${OUTPUT}
  "#include \"sim/presets/embedded.h\"\n\n"
  "namespace npu::sim {\n"
  "namespace {\n"
  "constexpr EmbeddedPreset kPresets[] = {\n${entries}};\n"
  "}  // namespace\n\n"
  "std::span<const EmbeddedPreset> embedded_presets() { return kPresets; }\n"
  "}  // namespace npu::sim\n")
