"""Asking for memory before it is needed, from compiled code.

Rows of a few numbers that lie far apart are read at the pace of main memory's latency, unless they are
asked for some rounds ahead.
"""

import inspect
from typing import Any

from numba import types
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic, overload

cgutils: Any = _cgutils


@intrinsic
def _fetch(_context: Any, array: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        ir = cgutils.ir
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        flag = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place.type, flag, flag, flag])
        ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        # To be read, often, as data.
        builder.call(ask, [place, flag(0), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.void(array, types.uintp), generate


prefetch: Any = _fetch


def fetch(array: Any, index: Any) -> None:
    """Ask for the cache line of array[index], without waiting for it; changes nothing."""


@overload(fetch)
def _compiled_fetch(array: Any, index: Any) -> Any:
    def ask(array: Any, index: Any) -> Any:
        return prefetch(array, index)

    return inspect.unwrap(ask)
