# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Compiled loops (C), called through ctypes: a call releases the interpreter lock.

The shared library is an ordinary setuptools extension: ``colcon build``, ``pip install`` and the
Makefile build it from the ``*.c`` files of this folder. ``kernels.h`` declares every function
once, for the compiler and for Python. An array is passed as it is: a call checks its type, that it
is contiguous, and that it may be written to where the declaration is not ``const``.
"""

from __future__ import annotations

import ctypes
from importlib import machinery
from pathlib import Path
import re
from typing import Any

import numpy as np
from sast_ros.errors import MissingPackageError

_SCALARS: dict[str, Any] = {
    'void': None,
    'int32_t': ctypes.c_int32,
    'int64_t': ctypes.c_int64,
    'uint32_t': ctypes.c_uint32,
    'uint64_t': ctypes.c_uint64,
    'float': ctypes.c_float,
    'double': ctypes.c_double,
}
_DTYPES = {
    name: np.dtype(name.removesuffix('_t'))
    for name in ('uint8_t', 'int16_t', 'uint16_t', 'int32_t', 'uint32_t', 'int64_t', 'uint64_t')
} | {'float': np.dtype('float32'), 'double': np.dtype('float64')}

#: What ctypes makes of an argument.
_ARGUMENT = type(ctypes.c_void_p.from_param(0))

_COMMENT = re.compile(r'/\*.*?\*/', re.DOTALL)
_DECLARATION = re.compile(r'^(\w+) (sast_\w+)\(([^()]*)\);', re.MULTILINE)
_PARAMETER = re.compile(r'(const )?(struct )?(\w+) (\*?)\w+')
_STRUCTURE = re.compile(r'^struct (\w+) \{\n(.*?)^\};', re.MULTILINE | re.DOTALL)
_MEMBER = re.compile(
    r'^ *(?:const )?(int64_t|double|\w+(?= \*)) (\*?)(\w+)(?:\[(\d+)\])?;', re.MULTILINE
)
_CONSTANT = re.compile(r'\b(SAST_[A-Z_]+[0-9]*) = (\d+)')


def _array_type(dtype: np.dtype, *, writable: bool) -> type:
    """
    Return the argument type (``argtypes`` of ctypes) of a pointer.

    Its ``from_param`` runs for every pointer of every call, so the usual case comes first.

    Parameters
    ----------
    dtype : numpy.dtype
        Type of the elements.
    writable : bool
        Whether the function writes to the array.

    """
    array, void = np.ndarray, ctypes.c_void_p.from_param
    from_buffer, byref = ctypes.c_char.from_buffer, ctypes.byref

    def from_param(value: Any) -> Any:
        """
        Return the argument of a call.

        Parameters
        ----------
        value : numpy.ndarray, torch.Tensor, bytes, int or None
            An array, a tensor on the CPU, raw bytes, the result of ``pointer`` or ``argument``, or
            a null pointer.

        Raises
        ------
        TypeError
            The array has another type, is not contiguous, or is read-only although it is written
            to.

        """
        if not isinstance(value, array):
            if type(value) is _ARGUMENT:
                return value
            if value is None or isinstance(value, (int, bytes)):
                return void(value)
            value = value.numpy()
        if value.dtype is not dtype and value.dtype != dtype:
            raise TypeError(f'the array is {value.dtype}; it must be {dtype}')
        try:
            return byref(from_buffer(value))
        except (TypeError, ValueError):  # read-only, empty or not contiguous
            if writable and not value.flags.writeable:
                raise TypeError('the array is read-only') from None
            return void(pointer(value))

    return type('Array', (), {'from_param': staticmethod(from_param)})


def _argument_type(const: str, struct: str, kind: str, star: str) -> Any:
    """Return the argument type of a parameter; the result of ``pointer`` stands for a struct."""
    if not star:
        return _SCALARS[kind]
    return ctypes.c_void_p if struct else _array_type(_DTYPES[kind], writable=not const)


def load_library(folder: Path) -> ctypes.CDLL:
    """
    Load the extension ``_kernels`` of a package with the types that its ``kernels.h`` declares.

    Parameters
    ----------
    folder : pathlib.Path
        Contains both.

    Raises
    ------
    MissingPackageError
        The extension is missing, or lacks functions because it was built from other sources.

    """
    paths = [folder / f'_kernels{suffix}' for suffix in machinery.EXTENSION_SUFFIXES]
    found = next((path for path in paths if path.exists()), None)
    if found is None:
        raise MissingPackageError(
            f'the compiled part of {folder.parent.name} is missing: no _kernels extension in '
            f'{folder}; build it with "make setup", "pip install ." or "colcon build"'
        )
    library = ctypes.CDLL(str(found))
    header = _COMMENT.sub('', (folder / 'kernels.h').read_text())
    missing = []
    for result, name, parameters in _DECLARATION.findall(header):
        function = getattr(library, name, None)
        if function is None:
            missing.append(name)
            continue
        function.restype = _SCALARS[result]
        function.argtypes = [
            _argument_type(*parameter) for parameter in _PARAMETER.findall(parameters)
        ]
    if missing:
        raise MissingPackageError(
            f'{found} lacks {", ".join(missing)}: it was built from other sources; build it again '
            'with "make setup", "pip install ." or "colcon build"'
        )
    return library


def read_structures(header: str) -> tuple[dict[str, np.dtype], dict[str, int]]:
    """
    Return the structures and the constants that a header declares.

    Parameters
    ----------
    header : str
        Its text; every member of a structure has eight bytes, or is an array of such.

    Returns
    -------
    structures : dict of str to numpy.dtype
        By name; addresses are int64.
    constants : dict of str to int
        Members of enumerations.

    """
    text = _COMMENT.sub('', header)
    structures = {}
    for name, body in _STRUCTURE.findall(text):
        fields: list[tuple] = []
        for kind, star, member, length in _MEMBER.findall(body):
            dtype = 'f8' if kind == 'double' and not star else 'i8'
            fields.append((member, dtype, (int(length),)) if length else (member, dtype))
        structures[name] = np.dtype(fields)
    constants = {name: int(value) for name, value in _CONSTANT.findall(text)}
    return structures, constants


def pointer(array: np.ndarray) -> int:
    """
    Return the address of the first element of a contiguous array.

    For structs, and for arguments that stay the same over many calls; the caller keeps the array.

    Raises
    ------
    TypeError
        The array is not contiguous.

    """
    if not array.flags.c_contiguous:
        raise TypeError('the array is not contiguous')
    return array.ctypes.data


def argument(array: np.ndarray) -> Any:
    """
    Return a contiguous array as the argument of many calls: neither checked nor converted again.

    Raises
    ------
    TypeError
        The array is not contiguous.

    """
    return ctypes.c_void_p.from_param(pointer(array))


library = load_library(Path(__file__).parent)
