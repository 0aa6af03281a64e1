"""ComfyUI nodes: each validates its inputs, calls the maths or the models, and wraps the result."""

from __future__ import annotations

from . import host
from .direction import arithmetic as direction_nodes
from .direction import found as pca_directions
from .direction.fit import folders as fit_folders
from .direction.fit import images as fit_direction
from .edit import directions as edit
from .edit import expression
from .edit import frames as strength_frames
from .files import directions as direction_files
from .files import latents as latent_files
from .files import vae as vae_latent
from .measure import distance as measure
from .measure import effects as picture_effects
from .measure import map as picture_map
from .measure import sheet as picture_sheet
from .mix import batch, interpolate, morph, photos, style_mix
from .model import convert, decode, edit_model, encode
from .model import load as load_model
from .model import paste_back as paste_node
from .registry import DISPLAY_NAMES, NODES
from .sliders import node as sliders
from .sliders.preview import routes as preview_routes
from .spectrum import anomaly as anomaly_node
from .spectrum import basis as basis_nodes
from .spectrum import basis_files, basis_folders
from .spectrum import lsd as lsd_nodes
from .spectrum import spectrum as lsd_spectrum

_MODULES = (
    load_model,
    convert,
    encode,
    decode,
    paste_node,
    edit_model,
    edit,
    expression,
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
    photos,
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

_ORDER = [module.__name__ for module in _MODULES]  # of the lists that ComfyUI shows
NODE_CLASS_MAPPINGS: dict[str, type] = dict(
    sorted(NODES.items(), key=lambda item: _ORDER.index(item[1].__module__))
)
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    node_id: DISPLAY_NAMES[node_id] for node_id in NODE_CLASS_MAPPINGS
}

host.register_model_folder()
preview_routes.register()

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
