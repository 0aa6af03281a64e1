"""The one door to the host: with none, with a stand-in, with an older one, with a broken one."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
from face_latents import NODE_CLASS_MAPPINGS
from face_latents.models.errors import FaceLatentsError
from face_latents.nodes import host
from face_latents.nodes.files.model_folder import model_file_path
from face_latents.nodes.model import load as load_model
from nodes_support import TinyNet, encode, photos, random_latent, run, tiny_model


class Interrupted(BaseException):
    """As the host's own: not an Exception."""


class FakeHost:
    """Records what the pack asks of the host."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.loads: list[tuple[object, int]] = []
        self.patchers: list[object] = []
        self.progress: list[tuple[int, int]] = []
        self.previews: list[tuple[str, object, int] | None] = []
        self.emptied = 0
        self.interrupt_after: int | None = None
        self.polls = 0

    def poll(self) -> None:
        self.polls += 1
        if self.interrupt_after is not None and self.polls > self.interrupt_after:
            raise Interrupted


@pytest.fixture
def fake(monkeypatch, tmp_path):
    record = FakeHost(tmp_path)

    class Patcher:
        def __init__(self, model, load_device, offload_device, size=0):
            self.model, self.load_device, self.offload_device = model, load_device, offload_device
            model.device = offload_device  # the host writes attributes on the network
            record.patchers.append(self)

    class ProgressBar:
        def __init__(self, total):
            self.total, self.current = total, 0

        def update(self, value):
            self.update_absolute(self.current + value)

        def update_absolute(self, value, total=None, preview=None):
            self.current = value
            record.progress.append((self.current, self.total))
            record.previews.append(preview)

    def load_models_gpu(models, memory_required=0):
        for model in models:
            record.loads.append((model, memory_required))

    def soft_empty_cache():
        record.emptied += 1

    modules = {
        "comfy": types.ModuleType("comfy"),
        "comfy.model_management": types.ModuleType("comfy.model_management"),
        "comfy.model_patcher": types.ModuleType("comfy.model_patcher"),
        "comfy.utils": types.ModuleType("comfy.utils"),
        "folder_paths": types.ModuleType("folder_paths"),
    }
    management = modules["comfy.model_management"]
    management.get_torch_device = lambda: torch.device("cpu")
    management.unet_offload_device = lambda: torch.device("cpu")
    management.intermediate_device = lambda: torch.device("cpu")
    management.load_models_gpu = load_models_gpu
    management.soft_empty_cache = soft_empty_cache
    management.throw_exception_if_processing_interrupted = record.poll
    modules["comfy.model_patcher"].CoreModelPatcher = Patcher
    modules["comfy.model_patcher"].ModelPatcher = Patcher
    modules["comfy.utils"].ProgressBar = ProgressBar

    paths = modules["folder_paths"]
    paths.models_dir = str(tmp_path / "models")
    paths.folder_names_and_paths = {}

    def add_model_folder_path(name, path, is_default=False):
        folders, _ = paths.folder_names_and_paths.setdefault(name, ([], set()))
        if path not in folders:
            folders.append(path)

    def get_filename_list(name):
        folders, extensions = paths.folder_names_and_paths[name]
        found = {
            str(file.relative_to(folder))
            for folder in map(Path, folders)
            for file in folder.rglob("*")
            if file.is_file() and (not extensions or file.suffix in extensions)
        }
        return sorted(found)

    paths.add_model_folder_path = add_model_folder_path
    paths.get_filename_list = get_filename_list
    paths.get_folder_paths = lambda name: list(paths.folder_names_and_paths[name][0])
    for name in ("input", "output", "temp"):
        setattr(paths, f"get_{name}_directory", lambda name=name: str(tmp_path / name))
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    record.paths = paths
    return record


def test_without_a_host_there_are_fallbacks(monkeypatch, tmp_path):
    assert not host.present()
    assert host.intermediate_device() == torch.device("cpu")
    assert host.compute_device().type in ("cpu", "cuda")
    monkeypatch.setattr(host.stand_alone, "device", "cpu")
    monkeypatch.setattr(host.stand_alone, "output", tmp_path / "out")
    net = TinyNet()
    assert host.load_to_device(net) == torch.device("cpu")
    assert host.output_directory() == tmp_path / "out"
    host.check_interrupt()
    host.register_model_folder()
    with host.Progress(2, "x") as progress:
        progress.step()
        progress.step()


def test_a_checkout_that_could_be_imported_is_no_host(monkeypatch, tmp_path):
    (tmp_path / "folder_paths.py").write_text("raise SystemExit('imported')")
    (tmp_path / "comfy").mkdir()
    (tmp_path / "comfy" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert importlib.util.find_spec("folder_paths") is not None
    assert not host.present()
    assert host.intermediate_device() == torch.device("cpu")


def test_a_broken_host_is_reported_with_its_cause(fake, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "comfy.model_management", None)
    with pytest.raises(host.HostError, match=r"model_management.*could not be imported") as e:
        host.intermediate_device()
    assert isinstance(e.value, FaceLatentsError)
    assert isinstance(e.value.__cause__, ImportError)
    assert "Traceback" in caplog.text


def test_networks_are_wrapped_once_and_loaded_before_each_use(fake):
    model = tiny_model()
    latent = random_latent(model)
    for _ in range(3):
        run("FaceLatentsDecode", face_model=model, face_latent=latent)
    assert len(fake.patchers) == 1
    assert fake.patchers[0].model is model.module
    assert len(fake.loads) == 3
    assert all(patcher is fake.patchers[0] for patcher, _ in fake.loads)
    assert all(memory > 0 for _, memory in fake.loads)
    assert "_face_latents_host_handle" not in model.module.state_dict()


def test_an_older_host_without_core_model_patcher(fake, monkeypatch):
    monkeypatch.delattr(sys.modules["comfy.model_patcher"], "CoreModelPatcher")
    host.load_to_device(TinyNet(), 10)
    assert len(fake.patchers) == 1


def test_progress_reaches_the_host(fake):
    encode(tiny_model(), photos(3))
    # found one by one, encoded together: the model's own bar, and that of the parts
    assert fake.progress == [(1, 3), (2, 3), (3, 3), (3, 3), (3, 3)]


@pytest.fixture
def texts(fake, monkeypatch):
    """What a node that runs now is given to say."""
    said = []
    server = types.ModuleType("server")
    server.PromptServer = types.SimpleNamespace(
        instance=types.SimpleNamespace(send_progress_text=lambda *sent: said.append(sent))
    )
    execution = types.ModuleType("comfy_execution.utils")
    execution.get_executing_context = lambda: types.SimpleNamespace(node_id="7:3")
    monkeypatch.setitem(sys.modules, "server", server)
    monkeypatch.setitem(sys.modules, "comfy_execution.utils", execution)
    monkeypatch.setattr(host, "_nodes_with_text", set())
    monkeypatch.setattr(host, "TEXT_EVERY", 0.0)
    return said


def test_a_node_that_takes_long_says_what_it_does(texts, monkeypatch):
    with host.Progress(3, "Reading") as progress:
        progress.step()
        assert texts == []  # a text would make the node taller
        monkeypatch.setattr(host, "TEXT_AFTER", 0.0)
        progress.step()
    assert texts == [("Reading: 2 of 3", "7:3"), ("Reading: done", "7:3")]


def test_what_cannot_be_counted_is_said_at_once(texts, fake):
    with host.Progress(0, "Fitting"):
        assert texts == [("Fitting", "7:3")]
        assert fake.progress == [(0, 1)]  # no longer at the 100% of what came before
        with host.Progress(2, "Trying") as inner:
            inner.step()
    assert [text for text, _ in texts] == ["Fitting", "Fitting: done"]
    assert fake.progress[-1] == (1, 1)


def test_what_goes_on_is_said_again_after_a_part_of_it(texts, monkeypatch):
    monkeypatch.setattr(host, "TEXT_AFTER", 0.0)

    def work():
        with host.Progress(0, "Fitting"):
            with host.Progress(2, "Trying") as inner:
                inner.step()
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        work()
    said = ["Fitting", "Trying: 1 of 2", "Fitting", "Fitting: stopped"]
    assert [text for text, _ in texts] == said


def test_a_note_stays_on_the_node(texts):
    encode(tiny_model(), photos(2))
    assert "under 60 pixels" in texts[-1][0]


def test_a_text_of_an_earlier_run_does_not_stay(texts):
    host.show_text("Photo 3 shows no face.")
    with host.Progress(2, "Finding faces"):
        pass
    assert [text for text, _ in texts][1:] == ["Finding faces: 0 of 2", "Finding faces: done"]


def test_what_was_done_is_not_said_again_by_a_quick_run(texts, monkeypatch):
    with monkeypatch.context() as slow, host.Progress(1, "Reading") as progress:
        slow.setattr(host, "TEXT_AFTER", 0.0)
        progress.step()
    with host.Progress(1, "Reading") as progress:
        progress.step()
    assert [text for text, _ in texts] == ["Reading: 1 of 1", "Reading: done"]


def test_an_older_host_without_texts_is_none_the_worse(fake):
    with host.Progress(0, "Fitting"):
        host.show_text("anything")
    assert fake.progress == [(0, 1), (1, 1)]


@pytest.mark.parametrize(("total", "words"), [(0, "Fitting the direction"), (3, "Reading: ")])
def test_the_terminal_says_it_too(monkeypatch, total, words):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(host.stand_alone, "progress", True)
    with host.Progress(total, words.removesuffix(": ")) as progress:
        progress.step(0)
    assert words in sys.stderr.getvalue()


def test_long_nodes_say_their_parts(texts):
    model = tiny_model()
    groups = [random_latent(model, 12, seed) for seed in (1, 2)]
    run(
        "FaceLatentsFitDirection",
        face_model=model,
        faces_without=groups[0],
        faces_with=groups[1],
        name="mine",
        method="mean difference",
        keep_still="",
    )
    assert texts[0][0] == "Fitting 'mine' and trying it on photos held out"
    assert texts[-1][0].endswith(": done")
    texts.clear()
    run(
        "FaceLatentsPCADirections",
        face_model=model,
        face_latent=groups[0],
        count=3,
        index=1,
        strength=2.0,
        name="",
    )
    said = [text for text, _ in texts]
    assert said[0] == "Looking for what varies most in 12 faces"
    assert "Trying how far direction 1 looks natural" in said


def test_refinement_shows_the_best_so_far_and_can_be_cancelled(fake):
    model, image = tiny_model(), photos(2)
    fake.previews.clear()
    encode(model, image, refine_steps=60)
    refining = [done for done, total in fake.progress if total == 120]
    assert refining == list(range(2, 121, 2))
    shown = [preview for preview in fake.previews if preview is not None]
    assert len(shown) == 30
    kind, picture, side = shown[-1]
    assert (kind, side) == ("JPEG", 512)
    assert picture.size == (2 * model.template.size, 2 * model.template.size)
    assert picture.mode == "RGB"
    fake.progress.clear()
    fake.polls, fake.interrupt_after = 0, 10
    with pytest.raises(Interrupted):
        encode(model, image, refine_steps=60)
    assert 0 < len([done for done, total in fake.progress if total == 120]) < 10


def test_networks_moved_by_the_host_can_take_part_in_optimisation(fake, monkeypatch):
    """What is moved inside the host's inference mode could not."""
    modes = []
    management = sys.modules["comfy.model_management"]
    load = management.load_models_gpu
    monkeypatch.setattr(
        management,
        "load_models_gpu",
        lambda *a, **k: (modes.append(torch.is_inference_mode_enabled()), load(*a, **k)),
    )
    with torch.inference_mode():
        host.load_to_device(TinyNet())
        assert torch.is_inference_mode_enabled()
    assert modes == [False]


def test_cancel_stops_every_loop(fake):
    model = tiny_model()
    latent = encode(model, photos(20))
    smile = model.directions["smile"]
    edited = run("FaceLatentsAddDirection", face_latent=latent, direction=smile, strength=1.0)[0]
    for node, inputs in (
        ("FaceLatentsDecode", {"face_model": model, "face_latent": latent}),
        ("FaceLatentsPasteBack", {"face_model": model, "face_latent": edited}),
    ):
        fake.polls, fake.interrupt_after = 0, 1
        fake.progress.clear()
        with pytest.raises(Interrupted):
            run(node, **inputs)
        assert len(fake.progress) <= 1  # of 20 faces
    fake.polls, fake.interrupt_after = 0, 5
    with pytest.raises(Interrupted):
        encode(model, photos(20))
    assert fake.polls == 6


def test_out_of_memory_asks_the_host(fake, monkeypatch):
    class Odd(Exception):
        pass

    management = sys.modules["comfy.model_management"]
    management.is_oom = lambda error: isinstance(error, Odd)
    model = tiny_model()
    plain = TinyNet.decode

    def decode(self, codes):
        if len(codes) > 4:
            raise Odd
        return plain(self, codes)

    monkeypatch.setattr(TinyNet, "decode", decode)
    result = run("FaceLatentsDecode", face_model=model, face_latent=random_latent(model, 8))[0]
    assert len(result) == 8
    assert fake.emptied == 1


def test_other_networks_are_taken_off_before_giving_up(fake, monkeypatch):
    """A single face that does not fit is tried again once, with the device to itself."""
    unloaded = []
    management = sys.modules["comfy.model_management"]
    management.unload_all_models = lambda: unloaded.append(len(fake.loads))
    model = tiny_model()
    plain = TinyNet.decode

    def decode(self, codes):
        if not unloaded:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return plain(self, codes)

    monkeypatch.setattr(TinyNet, "decode", decode)
    result = run("FaceLatentsDecode", face_model=model, face_latent=random_latent(model, 4))[0]
    assert len(result) == 4
    assert unloaded == [3]  # after batches of 4, 2 and 1
    assert len(fake.loads) == 4  # and brought back once

    monkeypatch.setattr(TinyNet, "decode", lambda self, codes: plain(self, codes[:, :0]))
    monkeypatch.setattr(host, "is_out_of_memory", lambda error: True)
    with pytest.raises(FaceLatentsError, match="not enough memory even for one face"):
        run("FaceLatentsDecode", face_model=model, face_latent=random_latent(model, 1))
    assert len(unloaded) == 2


def test_without_a_host_the_other_networks_go_to_the_cpu(monkeypatch):
    places = {}

    class Moving(TinyNet):
        def to(self, device):
            places[self] = str(device)
            return self

    first, second, third = Moving(), Moving(), Moving()
    monkeypatch.setattr(host, "_moved", type(host._moved)())
    assert not host.unload_other_networks(first)
    monkeypatch.setattr(host, "compute_device", lambda: torch.device("cuda"))
    for net in (first, second):
        host.load_to_device(net)
    assert host.unload_other_networks(first)
    assert places == {first: "cuda", second: "cpu"}
    assert not host.unload_other_networks(first)  # nothing is left to take off
    host.load_to_device(third)
    assert host.unload_other_networks(first)
    assert places[third] == "cpu"


def test_model_folder_is_registered_for_safetensors_only(fake):
    host.register_model_folder()
    folders, extensions = fake.paths.folder_names_and_paths["face_latents"]
    assert folders == [str(fake.root / "models" / "face_latents")]
    assert extensions == {".safetensors"}
    host.register_model_folder()
    assert len(fake.paths.folder_names_and_paths["face_latents"][0]) == 1


def test_files_of_extra_model_paths_are_found(fake):
    extra = fake.root / "share"
    (extra / "sub").mkdir(parents=True)
    fake.paths.folder_names_and_paths["face_latents"] = ([str(extra)], set())
    host.register_model_folder()
    (extra / "sub" / "m.safetensors").touch()
    (extra / "evil.pkl").touch()
    names = NODE_CLASS_MAPPINGS["FaceLatentsLoadModel"].INPUT_TYPES()["required"]["model"][0]
    assert names == [load_model.BUNDLED, load_model.BUNDLED_DIGITS, "sub/m.safetensors"]
    assert model_file_path("sub/m.safetensors") == extra / "sub" / "m.safetensors"
    assert host.model_save_folder() == fake.root / "models" / "face_latents"


def test_saved_files_go_into_the_hosts_folders(fake):
    model = tiny_model()
    latent = random_latent(model)
    smile = model.directions["smile"]
    run("FaceLatentsSaveDirection", direction=smile, filename_prefix="s")
    run("FaceLatentsSaveLatent", face_latent=latent, filename_prefix="l")
    run("FaceLatentsDistanceMatrix", face_latent=latent, metric="rms")
    directory = fake.root / "models" / "face_latents" / "directions"
    assert (directory / "s_00001_.safetensors").is_file()
    assert (fake.root / "output" / "face_latents" / "l_00001_.safetensors").is_file()
    assert len(list((fake.root / "temp").glob("*.png"))) == 1


def test_latent_ops_load_without_nodes_and_models():
    code = (
        "import sys, face_latents.latent_ops as ops\n"
        "assert ops.add\n"
        "print([m for m in sys.modules if m.startswith(('face_latents.nodes', "
        "'face_latents.models', 'PIL', 'safetensors'))])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_the_pack_loads_as_the_host_loads_it(monkeypatch):
    """From a folder of any name, under that folder's own path as module name."""
    folder = Path(sys.modules["face_latents"].__file__).parent
    name = str(folder).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    loaded = set(sys.modules)
    try:
        assert hasattr(module, "NODE_CLASS_MAPPINGS")
        assert set(module.NODE_CLASS_MAPPINGS) == set(NODE_CLASS_MAPPINGS)
        assert (
            module.NODE_CLASS_MAPPINGS["FaceLatentsLerp"]
            is not (NODE_CLASS_MAPPINGS["FaceLatentsLerp"])
        )
        assert (folder / module.WEB_DIRECTORY).is_dir()
    finally:
        for extra in set(sys.modules) - loaded:
            if extra.startswith(name):
                del sys.modules[extra]
