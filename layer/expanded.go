package layer

import (
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Expanded returns how many bytes the blob of size bytes in r says that it holds, decompressed, which may be a lie: gzip says it at
// its end, modulo 4 GiB (RFC 1952, 2.3.1), zstd may say it at its beginning (RFC 8878, 3.1.1.1). It is size when nothing is said, or
// less than that.
func Expanded(r io.ReaderAt, size int64) int64 {
	head := make([]byte, min(size, zstd.HeaderMaxSize))
	if _, err := r.ReadAt(head, 0); err != nil {
		return size
	}
	says := int64(0)
	var frame zstd.Header
	switch {
	case isGzip(head):
		var tail [4]byte
		if _, err := r.ReadAt(tail[:], size-int64(len(tail))); err == nil {
			says = int64(binary.LittleEndian.Uint32(tail[:]))
		}
	case isZstd(head) && frame.Decode(head) == nil && frame.HasFCS:
		says = int64(min(frame.FrameContentSize, 1<<62))
	}
	return max(size, says)
}
