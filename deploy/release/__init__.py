"""`make release`: wheel, source distribution, image, bills of materials and checksums."""
