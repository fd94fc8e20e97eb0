"""The oracle's part about lanes that pass each other by: what higher ones leave to lower ones."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from smsq.lanes import Lane

#: Ids of higher lanes after which a lane that waits has one.
PASSED = 10


@dataclass
class Turns:
    """How many ids were taken past each lane while it waited."""

    by_lane: dict[Lane, int] = field(default_factory=dict)

    def check(
        self, room: int, lanes: Sequence[Lane], waited: Collection[Lane], waits: Collection[Lane], taken: list[Lane]
    ) -> None:
        """Checks from which lanes a take gave ids, and counts them.

        Args:
            room: How many it could give.
            lanes: Which it was asked for, the first one's first.
            waited: On which of them ids waited before, and none were paused.
            waits: The same afterwards.
            taken: The lane of each id that it gave.
        """
        counts = {lane: self.by_lane.get(lane, 0) if room and lane in waited else 0 for lane in lanes}
        counts[lanes[0]] = 0
        owed = {lane: min(count // PASSED, -(-room // 2)) for lane, count in counts.items()}
        above = 0
        for number, lane in enumerate(lanes):
            lower = lanes[number + 1 :]
            if lane in waits:
                later = [each for each in lower if each in taken]
                assert sum(taken.count(each) for each in later) <= sum(owed[each] for each in later), (
                    "higher lanes first"
                )
                if len(taken) == room and room > sum(owed.values()):
                    assert taken.count(lane) >= owed[lane], "and no lane for ever"
            count = max(0, counts[lane] + above - PASSED * taken.count(lane)) if lane in waits and number else 0
            if count != counts[lane]:
                self.by_lane[lane] = count
            above += taken.count(lane)
