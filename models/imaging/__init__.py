"""Pictures: files, alignment, light, smooth maps, optical flow, descriptors."""
