"""The workshop: from a folder of photos to a version worth training on."""
