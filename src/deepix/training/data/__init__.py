"""What training needs of data: packed pictures, crops, random mosaics, examples of pixelated photos, negatives."""
