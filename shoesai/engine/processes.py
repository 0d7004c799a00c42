"""One process or many: the same training code under `python -m shoesai.engine` and under `accelerate launch`.

With many, process 0 speaks with the parent (events, commands, files); the others train along and say nothing. What one
of them decides, such as to stop, all must decide at the same place, or they would wait for each other for ever.
"""

from __future__ import annotations

import functools
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from shoesai.engine.progress import Emit, ShouldStop

if TYPE_CHECKING:
    from accelerate import Accelerator

# Process 0 alone makes validation pictures, and between jobs nobody says anything for days.
PATIENCE = timedelta(days=30)


def launched_with() -> int:
    """How many processes `accelerate launch` has started; 1 without it. Known before torch is loaded."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    return int(os.environ.get("RANK", "0")) == 0


@functools.cache
def accelerator() -> Accelerator:
    """The process's only one, in the precision of its device."""
    from accelerate import Accelerator  # torch comes with it, and who asks for the rank should not wait for that
    from accelerate.utils import InitProcessGroupKwargs

    from shoesai.engine.device import current

    return Accelerator(
        cpu=current().kind == "cpu",
        mixed_precision=current().mixed_precision,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
    )


def from_first(value: Any) -> Any:
    """Process 0's value, in every process."""
    if launched_with() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    accelerator()  # joins the group
    [told] = broadcast_object_list([value])
    return told


def agreed(should_stop: ShouldStop) -> ShouldStop:
    """To be asked by all at the same place: they stop together, when process 0 is asked to."""
    return should_stop if launched_with() == 1 else lambda: from_first(should_stop())


def on_its_own(should_stop: ShouldStop) -> ShouldStop:
    """For what process 0 does alone: it cannot leave while the others wait for it to come back."""
    return should_stop if launched_with() == 1 else lambda: None


def spoken(emit: Emit) -> Emit:
    """Only process 0 is heard."""
    return emit if is_first() else lambda *_, **__: None
