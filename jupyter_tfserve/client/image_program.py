"""A Node.js program that reads an image file and asks a model that takes images. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from jupyter_tfserve.codec.dtypes import DTYPES
from jupyter_tfserve.codec.sample_request import has_rows, is_image_name, is_json_dtype
from jupyter_tfserve.types import DEFAULT_SIGNATURE, Signature

SMALLEST_SIDE: Final = 8
"""Rows of smaller matrices are hardly pictures."""


@dataclass(frozen=True, slots=True)
class ImageInput:
    """The one input of a signature as a picture; `height` is None where the model decodes files itself."""

    alias: str
    height: int | None = None
    width: int = 0
    channels: int | None = None
    is_whole: bool = False


def image_input(signature: Signature) -> ImageInput | None:
    """The input that takes a picture per row, or None if there is none such, or others beside it."""
    if len(signature.inputs) != 1 or not has_rows(signature):
        return None
    ((alias, spec),) = signature.inputs.items()
    shape = spec.shape or ()
    if spec.dtype == "string":
        return ImageInput(alias) if is_image_name(alias) and len(shape) == 1 else None
    if not is_json_dtype(spec.dtype) or spec.dtype == "bool" or len(shape) not in (3, 4):
        return None
    _, height, width, *channels = shape
    if min(height, width) < SMALLEST_SIDE or (channels and channels[0] not in (1, 3)):
        return None
    is_whole = DTYPES[spec.dtype].numpy.kind in "iu"
    return ImageInput(alias, height, width, channels[0] if channels else None, is_whole)


def image_program(url: str, image: ImageInput, signature_name: str, token_variable: str | None) -> str:
    """The program; it sends the Jupyter token that `token_variable` holds, if that is given."""
    head = "" if signature_name == DEFAULT_SIGNATURE else f"signature_name: {json.dumps(signature_name)}, "
    token = (
        f"\n    .set('Authorization', `token ${{process.env.{token_variable}}}`)" if token_variable else ""
    )
    needs_jimp = image.height is not None
    packages = "jimp@0.22 superagent@10" if needs_jimp else "superagent@10"
    first = "const Jimp = require('jimp');" if needs_jimp else "const fs = require('fs');"
    return (
        f"// npm install {packages}; then: node client.cjs IMAGE\n"
        f"{first}\n"
        "const superagent = require('superagent');\n\n"
        "async function main() {\n"
        f"{_pixels(image) if needs_jimp else _FILE}"
        f"  const reply = await superagent.post({json.dumps(url)}){token}\n"
        f"    .send({{{head}instances: [row]}});\n"
        "  console.log(JSON.stringify(reply.body));\n"
        "}\n\n"
        "main().catch(error => {\n"
        "  console.error(error.response ? error.response.text : error);\n"
        "  process.exit(1);\n"
        "});"
    )


_FILE: Final = "  const row = {b64: fs.readFileSync(process.argv[2]).toString('base64')};\n"


def _pixels(image: ImageInput) -> str:
    scale = "" if image.is_whole else " / 255"
    note = "" if image.is_whole else "  // Pixels from 0 to 1; without `/ 255` they are from 0 to 255.\n"
    is_grey = image.channels != 3
    value = f"r{scale}" if image.channels is None else f"[r{scale}]"
    if not is_grey:
        value = f"[r{scale}, g{scale}, b{scale}]"
    return (
        "  const image = await Jimp.read(process.argv[2]);\n"
        f"  image.resize({image.width}, {image.height}){'.greyscale()' if is_grey else ''};\n"
        f"{note}"
        f"  const row = Array.from({{length: {image.height}}}, (_, y) =>\n"
        f"    Array.from({{length: {image.width}}}, (_, x) => {{\n"
        f"      const {{r{'' if is_grey else ', g, b'}}} = Jimp.intToRGBA(image.getPixelColor(x, y));\n"
        f"      return {value};\n"
        "    })\n"
        "  );\n"
    )
