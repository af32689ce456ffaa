"""The stage that trains refiners: restorations in, the same with detail that looks real out."""
