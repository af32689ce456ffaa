"""The stage that trains the locator: photos with mosaics as people post them in, maps of where these are out."""
