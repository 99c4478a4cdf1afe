// CRC-32C (Castagnoli), the checksum of iSCSI (RFC 3720, section 12.1).
#pragma once

#include <cstdint>
#include <string_view>

namespace versant::saved {

uint32_t crc32c(std::string_view bytes);

}  // namespace versant::saved
