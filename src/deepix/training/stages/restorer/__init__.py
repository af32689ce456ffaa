"""The stage that trains restorers: pictures with random mosaics in, the pictures that were below them out."""
