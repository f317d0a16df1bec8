"""Every kernel that the device registers is compared with the CPU by something in this folder.

`called_by_op_db.txt` lists the registered operators that op_db's samples reach. Making it takes
minutes, so it is kept, and a slow test makes it anew:

    python tests/python/parity/test_registrations.py
"""

from pathlib import Path

import pytest

from npu_torch.inventory import database, overloads, pool
from parity.extra_samples import OPERATORS

LIST = Path(__file__).with_name("called_by_op_db.txt")
SAMPLES = 4


def called_by_op_db() -> set[str]:
    tasks = [
        {"name": name, "dtype_name": dtype_name, "limit": SAMPLES}
        for dtype_name in ("float32", "int64")
        for name in database.names(database.DTYPES[dtype_name])
    ]
    called: set[str] = set()
    for task, result in pool.map_tasks("overloads", tasks):
        if isinstance(result, Exception):
            raise RuntimeError(f"{task}: {result}")
        called |= set(result)
    return called & overloads.registered()


def listed() -> set[str]:
    return set(LIST.read_text().split())


def test_every_registration_is_compared() -> None:
    untested = overloads.registered() - listed() - set(OPERATORS)
    assert untested == set(), "neither op_db nor extra_samples.py calls these"


def test_extra_samples_are_needed() -> None:
    unknown = set(OPERATORS) - overloads.registered()
    assert unknown == set(), "the device does not register these"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_list_is_what_op_db_calls() -> None:
    assert (listed() & overloads.registered()) - called_by_op_db() == set()


if __name__ == "__main__":
    LIST.write_text("".join(f"{name}\n" for name in sorted(called_by_op_db())))
