"""The bundled face model: eigenfaces, renderer and retoucher."""
