// The file around a program: header, table of sections, sections.
#include <algorithm>

#include "machine/fuse.h"
#include "machine/saved/crc.h"
#include "machine/saved/trace_bytes.h"
#include "machine/slots.h"
#include "machine/version.h"

namespace versant::saved {

namespace {

// The line ends show a transfer that took the file for text.
constexpr std::string_view kMagic = "\x89VSP\r\n\x1a\n";
constexpr uint32_t kVersion = 1;
constexpr uint64_t kAlign = 64;  // of sections, and of arrays in the data
constexpr std::string_view kTags[] = {"info", "tabl", "plan", "data"};
constexpr size_t kSections = std::size(kTags), kTagBytes = 4;
constexpr size_t kHeaderBytes = 24, kRowBytes = 24;

struct Section {
  uint32_t crc = 0;
  uint64_t offset = 0, bytes = 0;
};

uint64_t aligned(uint64_t at) { return (at + kAlign - 1) / kAlign * kAlign; }

template <typename Archive>
void table_bytes(Archive& a, std::vector<NamedTensor>& tensors, std::vector<Ref<Storage>>& storages) {
  a.list(tensors, [&](NamedTensor& named) {
    a.text(named.name);
    uint32_t memory = 0, gradient_memory = 0;
    bool has_gradient = false;
    Array array, gradient;
    const auto place = [&](const Array& of) {
      const auto at = std::find_if(storages.begin(), storages.end(),
                                   [&](const auto& storage) { return storage.get() == of.storage.get(); }) -
                      storages.begin();
      if (static_cast<size_t>(at) == storages.size()) storages.push_back(of.storage);
      return static_cast<uint32_t>(at);
    };
    if constexpr (!Archive::reading) {
      memory = place(*named.tensor);
      array = trace::geometry_of(*named.tensor);
      has_gradient = static_cast<bool>(named.tensor->grad);
      if (has_gradient) {
        gradient_memory = place(*named.tensor->grad);
        gradient = trace::geometry_of(*named.tensor->grad);
      }
    }
    const auto one = [&](uint32_t& at, Array& of) {
      a.number(at);
      geometry(a, of);
      if constexpr (!Archive::reading) return;
      if (at >= storages.size()) damaged("there is no memory ", at);
      if (trace::extent(of) > static_cast<int64_t>(storages[at]->bytes))
        damaged("tensor '", named.name, "' reaches beyond its memory");
      of.storage = storages[at];
      of.data = static_cast<char*>(storages[at]->data) + reinterpret_cast<int64_t>(of.data);
    };
    one(memory, array);
    a.number(has_gradient);
    if (has_gradient) one(gradient_memory, gradient);
    if constexpr (!Archive::reading) return;
    named.tensor = Tensor::make(std::move(array));
    if (has_gradient) named.tensor->grad = Tensor::make(std::move(gradient));
  });
}

template <typename Archive>
void entry_bytes(Archive& a, Entry& entry, Tables& tables) {
  a.text(entry.structure);
  a.list(entry.names, [&](std::string& name) { a.text(name); });
  a.list(entry.results, [&](std::string& result) { a.text(result); });
  a.list(entry.traces, [&](trace::Trace& trace) { trace_bytes(a, trace, tables); });
}

// Sizes of storages and where they stand in the data.
template <typename Archive>
void storage_rows(Archive& a, std::vector<Section>& rows) {
  a.list(rows, [&](Section& row) {
    a.number(row.offset);
    a.number(row.bytes);
  });
}

template <typename Archive>
void generator_rows(Archive& a, std::vector<std::shared_ptr<Generator>>& generators) {
  auto count = static_cast<uint32_t>(generators.size());
  a.number(count);
  for (uint32_t i = 1; i < count; ++i) {  // the first is the process's own
    Generator generator;
    if constexpr (!Archive::reading) generator = *generators[i];
    a.number(generator.seed);
    a.number(generator.offset);
    if constexpr (Archive::reading) generators.push_back(std::make_shared<Generator>(generator));
  }
}

}  // namespace

std::string write(Contents& contents, const std::vector<NamedTensor>& known) {
  Tables& tables = contents.tables;
  if (tables.generators.empty()) tables.generators.emplace_back(&default_generator(), [](Generator*) {});
  Writer plan, table, tensors;
  plan.list(contents.entries, [&](Entry& entry) { entry_bytes(plan, entry, tables); });
  for (NamedTensor& named : tables.tensors)
    for (const NamedTensor& other : known)
      if (other.tensor.get() == named.tensor.get()) named.name = other.name;
  table_bytes(tensors, tables.tensors, tables.storages);
  std::vector<Section> rows;
  uint64_t data = 0;
  for (const Ref<Storage>& storage : tables.storages) {
    rows.push_back({0, data, storage->bytes});
    data = aligned(data + storage->bytes);
  }
  storage_rows(table, rows);
  generator_rows(table, tables.generators);
  const std::string info = text("versant ", version());
  const std::string described = table.bytes() + tensors.bytes();

  Section sections[kSections];
  const uint64_t sizes[kSections] = {info.size(), described.size(), plan.bytes().size(), data};
  uint64_t end = kHeaderBytes + kSections * kRowBytes;
  for (size_t k = 0; k < kSections; ++k) {
    sections[k].offset = aligned(end);
    sections[k].bytes = sizes[k];
    end = sections[k].offset + sizes[k];
  }
  std::string file(end, '\0');
  const auto put = [&](uint64_t at, const void* from, size_t count) {
    if (count) std::memcpy(file.data() + at, from, count);
  };
  put(sections[0].offset, info.data(), info.size());
  put(sections[1].offset, described.data(), described.size());
  put(sections[2].offset, plan.bytes().data(), plan.bytes().size());
  for (size_t i = 0; i < rows.size(); ++i)
    put(sections[3].offset + rows[i].offset, tables.storages[i]->data, rows[i].bytes);

  Writer head;
  for (size_t k = 0; k < kSections; ++k) {
    for (const char letter : kTags[k]) head.number(letter);
    sections[k].crc = crc32c({file.data() + sections[k].offset, sections[k].bytes});
    head.number(sections[k].crc);
    head.number(sections[k].offset);
    head.number(sections[k].bytes);
  }
  put(kHeaderBytes, head.bytes().data(), head.bytes().size());
  Writer first;
  uint32_t version = kVersion, crc = crc32c(head.bytes());
  first.number(version);
  first.number(crc);
  first.number(end);
  put(0, kMagic.data(), kMagic.size());
  put(kMagic.size(), first.bytes().data(), first.bytes().size());
  return file;
}

Contents read(std::string_view file) {
  if (file.size() < kMagic.size() || file.substr(0, kMagic.size()) != kMagic)
    damaged("this is no saved program: the file does not begin as one");
  if (file.size() < kHeaderBytes + kSections * kRowBytes) damaged("the file is cut off: it has no header");
  Reader first(file.substr(kMagic.size(), kHeaderBytes - kMagic.size()));
  uint32_t version = 0, crc = 0;
  uint64_t end = 0;
  first.number(version);
  first.number(crc);
  first.number(end);
  if (version != kVersion)
    damaged("the file has format version ", version, "; versant ", versant::version(), " reads version ",
            kVersion, version > kVersion ? ": load it with a newer versant" : "");
  if (end != file.size()) damaged("the file has ", file.size(), " bytes and should have ", end);
  const std::string_view rows = file.substr(kHeaderBytes, kSections * kRowBytes);
  if (crc32c(rows) != crc) damaged("the checksum of the header is wrong");
  Reader head(rows);
  std::string_view parts[kSections];
  for (size_t k = 0; k < kSections; ++k) {
    Section section;
    char tag[kTagBytes];
    for (char& letter : tag) head.number(letter);
    head.number(section.crc);
    head.number(section.offset);
    head.number(section.bytes);
    if (std::string_view(tag, kTagBytes) != kTags[k]) damaged("section ", k, " is not '", kTags[k], "'");
    if (section.offset % kAlign || section.offset > file.size() ||
        section.bytes > file.size() - section.offset)
      damaged("section '", kTags[k], "' reaches beyond the file");
    parts[k] = file.substr(section.offset, section.bytes);
    if (crc32c(parts[k]) != section.crc) damaged("the checksum of section '", kTags[k], "' is wrong");
  }

  Contents contents;
  Tables& tables = contents.tables;
  Reader table(parts[1]);
  std::vector<Section> storages;
  storage_rows(table, storages);
  uint64_t taken = 0;
  for (const Section& row : storages) {
    // One after the other, so that a small file asks for no more memory than it is long.
    if (row.offset % kAlign || row.offset < taken || row.offset > parts[3].size() ||
        row.bytes > parts[3].size() - row.offset)
      damaged("data of ", row.bytes, " bytes at ", row.offset, " reach beyond their section");
    taken = row.offset + row.bytes;
    tables.storages.push_back(Storage::allocate(row.bytes));
    if (row.bytes) std::memcpy(tables.storages.back()->data, parts[3].data() + row.offset, row.bytes);
  }
  tables.generators.emplace_back(&default_generator(), [](Generator*) {});
  generator_rows(table, tables.generators);
  table_bytes(table, tables.tensors, tables.storages);
  if (!table.at_end()) damaged("section 'tabl' has bytes that belong to nothing");
  Reader plan(parts[2]);
  plan.list(contents.entries, [&](Entry& entry) { entry_bytes(plan, entry, tables); });
  if (!plan.at_end()) damaged("section 'plan' has bytes that belong to nothing");
  if (contents.entries.empty()) damaged("the program has no entry");
  for (Entry& entry : contents.entries) verify(entry);
  return contents;
}

}  // namespace versant::saved
