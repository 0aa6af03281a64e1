"""ComfyUI nodes: each validates its inputs, calls the maths or the models, and wraps the result."""

from __future__ import annotations

from . import (
    anomaly_node,
    basis_files,
    basis_folders,
    basis_nodes,
    batch,
    decode,
    direction_files,
    direction_nodes,
    edit,
    encode,
    fit_direction,
    fit_folders,
    host,
    interpolate,
    latent_files,
    load_model,
    lsd_nodes,
    lsd_spectrum,
    measure,
    morph,
    paste_node,
    pca_directions,
    picture_effects,
    picture_map,
    picture_sheet,
    preview_routes,
    sliders,
    strength_frames,
    style_mix,
    vae_latent,
)

_MODULES = (
    load_model,
    encode,
    decode,
    paste_node,
    edit,
    strength_frames,
    sliders,
    direction_files,
    direction_nodes,
    fit_direction,
    fit_folders,
    pca_directions,
    interpolate,
    style_mix,
    morph,
    batch,
    measure,
    picture_sheet,
    picture_effects,
    picture_map,
    basis_files,
    basis_nodes,
    basis_folders,
    lsd_nodes,
    lsd_spectrum,
    anomaly_node,
    latent_files,
    vae_latent,
)

NODE_CLASS_MAPPINGS: dict[str, type] = {
    node_id: node for module in _MODULES for node_id, (node, _) in module.NODES.items()
}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    node_id: name for module in _MODULES for node_id, (_, name) in module.NODES.items()
}

host.register_model_folder()
preview_routes.register()

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
