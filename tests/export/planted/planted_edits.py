"""What may be wrong with a bundle, as functions on a copy of it: constants, nodes, words, and what bundle.json says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto, helper
from planted_copy import Copy, NotHere
from planted_ir import ir_graph
from planted_onnx import Array, Graph, onnx_graph

from vljepa_runtime.files.tensors import pack, unpack

Plant = Callable[[Copy], object]
Edit = Callable[[Array], object]


def times(factor: float, *at: int) -> Edit:
    """All values, or one."""

    def edit(values: Array) -> None:
        values[at or ...] = values[at or ...] * values.dtype.type(factor)

    return edit


def plus(step: float, *at: int) -> Edit:
    """All values, or one."""

    def edit(values: Array) -> None:
        values[at or ...] += values.dtype.type(step)

    return edit


def one_step(*at: int) -> Edit:
    """One quantised value, to its neighbour nearer to zero."""

    def edit(values: Array) -> None:
        values[at] += values.dtype.type(-1 if values[at] > 0 else 1)

    return edit


def lowest_bit(*at: int) -> Edit:
    """One of two values in a byte, to its neighbour."""

    def edit(values: Array) -> None:
        values[at] ^= 1

    return edit


def half_bytes(values: Array) -> None:
    """The two values of each byte, exchanged."""
    values[...] = (values << 4) | (values >> 4)


def filled(value: float) -> Edit:
    """One value for all."""
    return lambda values: values.fill(value)


def turned(values: Array) -> None:
    """The second axis, from its end."""
    values[...] = values[:, ::-1].copy()


def bfloat16(values: Array) -> None:
    """Every float cut to sixteen bits."""
    values.view(np.uint32)[...] &= np.uint32(0xFFFF0000)


def exchange(one: int, other: int, axis: int = 0) -> Edit:
    """Two rows, or columns."""

    def edit(values: Array) -> None:
        rows = np.moveaxis(values, axis, 0)
        rows[[one, other]] = rows[[other, one]]

    return edit


def constant(graph: str, pattern: str, edit: Edit, nth: int = 0) -> Plant:
    """Edit a constant of an ONNX graph."""

    def plant(copy: Copy) -> None:
        with onnx_graph(copy, graph) as opened:
            opened.change(pattern, edit, nth)

    return plant


def ir(graph: str, pattern: str, edit: Edit, nth: int = 0, kind: str = r"\w+") -> Plant:
    """Edit a constant of an OpenVINO graph."""

    def plant(copy: Copy) -> None:
        with ir_graph(copy, graph) as opened:
            opened.change(pattern, edit, nth, kind)

    return plant


def ir_exchange(graph: str, one: str, other: str) -> Plant:
    """Two words of an OpenVINO graph's network."""

    def plant(copy: Copy) -> None:
        with ir_graph(copy, graph) as opened:
            opened.substitute(one, "planted", count=0)
            opened.substitute(other, one, count=0)
            opened.substitute("planted", other, count=0)

    return plant


def ir_text(graph: str, pattern: str, to: str) -> Plant:
    """Edit the network of an OpenVINO graph."""

    def plant(copy: Copy) -> None:
        with ir_graph(copy, graph) as opened:
            opened.substitute(pattern, to)

    return plant


def nodes(graph: str, edit: Callable[[Graph], object]) -> Plant:
    """Edit the nodes of an ONNX graph."""

    def plant(copy: Copy) -> None:
        with onnx_graph(copy, graph) as opened:
            edit(opened)

    return plant


def attribute(kind: str, name: str, value: Any, nth: int = 0) -> Callable[[Graph], object]:
    """Another attribute of a node."""

    def edit(graph: Graph) -> None:
        node = graph.node(kind, nth)
        if any(each.name == name and helper.get_attribute_value(each) == value for each in node.attribute):
            raise NotHere(f"{kind} has {name} {value}")
        kept = [each for each in node.attribute if each.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])

    return edit


def weight_zero_point(graph: Graph) -> None:
    """The products are of weights that are one step smaller."""
    node = graph.node("MatMulInteger")
    zero = graph.constant("planted_zero", np.array(1, np.int8))
    node.input[:] = [*node.input, *[""] * (3 - len(node.input)), zero]


def query_positions(graph: Graph) -> None:
    """The query's tokens stand one place later behind the visual ones."""
    span = graph.node("Range")
    total = next(node for node in graph.nodes if span.input[1] in node.output)
    visual, one = total.input[0], span.input[2]
    graph.insert(
        span,
        helper.make_node("Add", [visual, one], ["planted_first"]),
        helper.make_node("Add", [span.input[1], one], ["planted_end"]),
        helper.make_node("Range", [span.input[0], visual, one], ["planted_visual"]),
        helper.make_node("Range", ["planted_first", "planted_end", one], ["planted_query"]),
        joined := helper.make_node("Concat", ["planted_visual", "planted_query"], ["planted_span"], axis=0),
    )
    graph.rewire(span.output[0], joined.output[0], but=joined)


def clamped_position(graph: Graph) -> None:
    """The position of a step stays where the second one had it."""
    outputs = graph.copy.manifest["graphs"]["y_decoder_prefill"]["outputs"]
    prefix = next(each["shape"][2] for each in outputs if each["name"] == "past_k_0")
    limit = graph.constant("planted_limit", np.array(prefix + 1, np.float32))
    span = graph.node("Range")
    place = next(node for node in graph.nodes if span.output[0] in node.input)
    clamp = helper.make_node("Min", [place.output[0], limit], ["planted_place"])
    graph.nodes.insert(list(graph.nodes).index(place) + 1, clamp)
    graph.rewire(place.output[0], clamp.output[0], but=clamp)


def other_cache(graph: Graph) -> None:
    """A layer reads the keys of the next one, or its own values where there is none."""
    held = {each.name for each in graph.model.graph.input}
    other = "past_k_1" if "past_k_1" in held else "past_v_0"
    join = next(node for node in graph.nodes if node.op_type == "Concat" and node.input[0] == "past_k_0")
    join.input[0] = other


def unmasked(graph: Graph) -> None:
    """Padding is not masked."""
    least = next((name for name in graph.names(".*") if np.all(graph.get(name) == -10_000)), None)
    if least is None:
        raise NotHere(f"{graph.file} masks nothing")
    graph.put(least, np.zeros_like(graph.get(least)))


def other_weights(graph: Graph) -> None:
    """A layer multiplies with the weights of another of its size."""
    layers = [node for node in graph.nodes if node.op_type == "MatMulInteger"]
    for one in layers:
        for other in layers:
            names = one.input[1], other.input[1]
            if names[0] != names[1] and graph.get(names[0]).shape == graph.get(names[1]).shape:
                one.input[1] = names[1]
                return
    raise NotHere(f"{graph.file} has no two layers of one size")


def other_scale(graph: Graph) -> None:
    """A product is scaled as that of another activation."""
    first, second = (graph.node("DynamicQuantizeLinear", nth).output[1] for nth in (0, 1))
    product = next(node for node in graph.nodes if node.op_type == "Mul" and node.input[0] == second)
    product.input[0] = first


def through_float16(graph: Graph) -> None:
    """An activation is rounded to sixteen bits on its way."""
    layer = graph.node("Softmax")
    down = helper.make_node("Cast", [layer.output[0]], ["planted_half"], to=TensorProto.FLOAT16)
    up = helper.make_node("Cast", ["planted_half"], ["planted_whole"], to=TensorProto.FLOAT)
    at = list(graph.nodes).index(layer) + 1
    graph.nodes.insert(at, up)
    graph.nodes.insert(at, down)
    graph.rewire(layer.output[0], up.output[0], but=down)


def louder(graph: Graph) -> None:
    """What leaves is a little longer; its direction is the same."""
    last = graph.nodes[-1]
    name, last.output[0] = last.output[0], "planted_quiet"
    factor = graph.constant("planted_factor", np.array(1.001, np.float32))
    graph.nodes.append(helper.make_node("Mul", ["planted_quiet", factor], [name]))


def exchanged_outputs(graph: Graph) -> None:
    """Keys leave as values, and values as keys."""
    names = {"next_k_0": "next_v_0", "next_v_0": "next_k_0"}
    for node in graph.nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def halves_exchanged(graph: Graph) -> None:
    """Rotary embedding turns the other way."""
    join = next(node for node in graph.nodes if node.op_type == "Concat" and node.input[0] == "neg")
    join.input[:] = list(join.input)[::-1]


def mean_and_std(graph: Graph) -> None:
    """The patch embedding takes std for the mean and the mean for the std, and is quantised again where it was."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    bias = graph.name("patch_bias")
    float_name = next(iter(graph.names(r"patch_weight\.T")), None)
    if float_name:
        weight = graph.get(float_name).astype(np.float64)
    else:
        rows, scale = graph.name(r"patch_weight\.T\.int8"), graph.name(r"patch_weight\.T\.scale")
        weight = graph.get(rows) * graph.get(scale).astype(np.float64)
    channel = np.arange(len(weight)) % 3
    plain = weight * std[channel, None] * 255
    wrong = plain / mean[channel, None] / 255
    moved = graph.get(bias) + (plain * (mean / std)[channel, None]).sum(0)
    graph.put(bias, (moved - (plain * (std / mean)[channel, None]).sum(0)).astype(np.float32))
    if float_name:
        graph.put(float_name, wrong.astype(np.float32))
        return
    steps = np.abs(wrong).max(0) / 127
    graph.put(scale, steps.astype(np.float32))
    graph.put(rows, np.rint(wrong / steps).astype(np.int8))


def channels(values: Array) -> None:
    """Red for blue, in all pixels of a patch."""
    pixels = values.reshape(-1, 3, values.shape[-1])
    pixels[:, [0, 2]] = pixels[:, [2, 0]]


def word(copy: Copy, text: str) -> int:
    """The id of a word that is one token."""
    vocab = copy.words()
    if f"Ġ{text}" not in vocab:
        raise NotHere(f"the tokenizer has no token for {text}")
    return int(vocab[f"Ġ{text}"])


def words_in_table(graph: str, one: str, other: str) -> Plant:
    """Two rows of a token table."""

    def plant(copy: Copy) -> None:
        ids = word(copy, one), word(copy, other)
        rows = copy.manifest["graphs"]["y_decoder_prefill"]["outputs"][0]["shape"][-1]
        with onnx_graph(copy, graph) as opened:
            for name in opened.names(r".*embed\.weight(\.int8|\.scale|\.int4|\.scales)?"):
                values = opened.get(name)
                table = (
                    values if rows in values.shape else values.reshape(rows, -1)
                )  # scales of blocks are flat
                exchange(*ids, axis=table.shape.index(rows))(table)
                opened.put(name, table.reshape(values.shape))

    return plant


def ir_words(graph: str, one: str, other: str) -> Plant:
    """The same in an OpenVINO graph."""

    def plant(copy: Copy) -> None:
        ids = word(copy, one), word(copy, other)
        for name in (r"embed\.weight", r"embed\.weight/scale"):
            ir(graph, name, exchange(*ids))(copy)

    return plant


def words_in_tokenizer(one: str, other: str) -> Plant:
    """Two words of a vocabulary."""

    def plant(copy: Copy) -> None:
        ids = word(copy, one), word(copy, other)
        with copy.tokenizer() as held:
            held["model"]["vocab"] |= {f"Ġ{one}": ids[1], f"Ġ{other}": ids[0]}

    return plant


def tokenizer(edit: Callable[[dict[str, Any]], object]) -> Plant:
    """Edit the first tokenizer."""

    def plant(copy: Copy) -> None:
        with copy.tokenizer() as held:
            edit(held)

    return plant


def late_merge_first(held: dict[str, Any]) -> None:
    """The last merge comes before all others that it may."""
    merges = held["model"]["merges"]
    merges[10:12] = merges[11:9:-1]


def special_ids(held: dict[str, Any]) -> None:
    """The end of a text is its beginning."""
    begin, end = held["added_tokens"][1:3]
    begin["content"], end["content"] = end["content"], begin["content"]
    vocab = held["model"]["vocab"]
    vocab[begin["content"]], vocab[end["content"]] = begin["id"], end["id"]


def manifest(edit: Callable[[dict[str, Any]], object]) -> Plant:
    """Edit `bundle.json`."""
    return lambda copy: edit(copy.manifest)


def novelty(edit: Callable[[dict[str, Any]], object]) -> Plant:
    """Edit the arrays by which the bundle tells what it does not know."""

    def plant(copy: Copy) -> None:
        name = (copy.manifest.get("novelty") or {}).get("file")
        if name is None:
            raise NotHere("no calibration of what it knows")
        arrays = {key: array.copy() for key, array in unpack(copy.files[name])[0].items()}
        edit(arrays)
        copy.files[name] = pack(arrays, {})

    return plant


def novelty_entry(**factors: float) -> Plant:
    """Multiply what the manifest says of them."""

    def plant(copy: Copy) -> None:
        if "novelty" not in copy.manifest:
            raise NotHere("no calibration of what it knows")
        copy.manifest["novelty"] |= {key: copy.manifest["novelty"][key] * by for key, by in factors.items()}

    return plant


def preprocess(**values: Any) -> Plant:
    """Edit how frames become tokens."""
    return lambda copy: copy.preprocess(**values)


def longer(copy: Copy) -> None:
    """Twice the frames."""
    copy.preprocess(frames=2 * copy.manifest["preprocess"]["frames"])


def smaller(copy: Copy) -> None:
    """A patch less in height and width."""
    said = copy.manifest["preprocess"]
    copy.preprocess(size=said["size"] - said["patch"])


def exchange_prompts(one: str, other: str) -> Plant:
    """Two prompts."""

    def edit(said: dict[str, Any]) -> None:
        prompts = said["prompts"]
        prompts[one], prompts[other] = prompts[other], prompts[one]

    return manifest(edit)


def other_tokenizer(copy: Copy) -> None:
    """The decoder speaks with a vocabulary of its own, in which two words are exchanged."""
    name = next(iter(copy.manifest["tokenizers"].values()))
    mine = copy.files[name]
    words_in_tokenizer("small", "large")(copy)
    copy.files["other.json"], copy.files[name] = copy.files[name], mine
    copy.manifest["tokenizers"]["y_decoder"] = "other.json"
