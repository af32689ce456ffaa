"""How large a picture may be: stated bounds, checked before the memory is taken."""

MAX_PIXELS = 200_000_000
"""Pictures with more pixels are refused by default: few cameras make them, and a file of kilobytes may claim them."""

MAX_BYTES = 1 << 30
"""Files with more bytes are refused: 1 GiB, more than 200 megapixels take in any format but uncompressed ones."""
