"""Clear-sky rules for class bands: a set of clear classes, or quality bits that must be unset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from spatial_assets.errors import RasterError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Classes: TypeAlias = "NDArray[np.integer[Any]]"


@dataclass(frozen=True)
class CloudBuffer:
    """Margins round clouds and shadows in which no pixel counts, in metres on the ground."""

    cloud: float = 0.0
    shadow: float = 0.0

    @property
    def widest(self) -> float:
        """The wider of the two."""
        return max(self.cloud, self.shadow)


@dataclass(frozen=True)
class CloudClasses:
    """Classes or flags that are cloud or shadow, and the margins round them."""

    cloud: frozenset[int] = frozenset()
    """Classes, or numbers of flags, that are cloud."""

    shadow: frozenset[int] = frozenset()
    """Classes, or numbers of flags, that are the shadow of a cloud."""

    buffer: CloudBuffer = CloudBuffer()
    """Margins; 0 where no class is known."""

    def with_buffer(self, buffer: CloudBuffer) -> CloudClasses:
        """Return these classes with margins, as far as classes are known."""
        cloud, shadow = buffer.cloud if self.cloud else 0.0, buffer.shadow if self.shadow else 0.0
        return replace(self, buffer=CloudBuffer(cloud, shadow))

    @property
    def margins(self) -> tuple[tuple[float, frozenset[int]], ...]:
        """Each margin in metres, and the classes or flags that it surrounds."""
        buffer = self.buffer
        if buffer.cloud == buffer.shadow > 0:
            return ((buffer.cloud, self.cloud | self.shadow),)
        found = ((buffer.cloud, self.cloud), (buffer.shadow, self.shadow))
        return tuple((metres, members) for metres, members in found if metres > 0)


@dataclass(frozen=True)
class ClearClasses:
    """A band of class numbers, such as the scene classification of Sentinel-2."""

    keep: frozenset[int]
    """Clear-sky classes. A class that is not listed is not clear, even if it is unknown."""

    clouds: CloudClasses = CloudClasses()

    def __post_init__(self) -> None:
        """Refuse a rule under which no pixel is ever clear."""
        if not self.keep:
            message = "no class counts as clear sky; list at least one"
            raise RasterError(message, reason="bad_clear_sky_rule")

    @property
    def unobserved(self) -> int:
        """Class number to write where nothing was observed; it is not clear."""
        return next(number for number in range(len(self.keep) + 1) if number not in self.keep)

    def clear(self, classes: Classes) -> NDArray[np.bool_]:
        """True where the class is clear sky, in the shape of `classes`."""
        import numpy as np

        clear = np.zeros(classes.shape, dtype=np.bool_)
        for number in self.keep:  # comparing each class is faster than a lookup table
            clear |= classes == number
        return clear

    def with_buffer(self, buffer: CloudBuffer) -> ClearClasses:
        """Return this rule with margins round clouds and shadows."""
        return replace(self, clouds=self.clouds.with_buffer(buffer))

    def buffered(self, classes: Classes) -> Iterator[tuple[float, NDArray[np.bool_]]]:
        """Yield each margin in metres, and True where a pixel has it around itself."""
        for metres, members in self.clouds.margins:
            yield metres, ClearClasses(members).clear(classes)


@dataclass(frozen=True)
class ClearBits:
    """A band of quality bits, such as QA_PIXEL of Landsat."""

    drop: tuple[int, ...]
    """Numbers of the bits that must be unset, counted from the least significant."""

    clouds: CloudClasses = CloudClasses()

    def __post_init__(self) -> None:
        """Refuse bits that no quality band has, and a rule that drops nothing."""
        if not self.drop or min(self.drop) < 0 or max(self.drop) > 15:  # noqa: PLR2004 - uint16
            message = f"expected one or more bits of 0 to 15, got {self.drop}"
            raise RasterError(message, reason="bad_clear_sky_rule")

    @property
    def unobserved(self) -> int:
        """Bit pattern to write where nothing was observed; it is not clear."""
        return 1 << min(self.drop)

    def clear(self, classes: Classes) -> NDArray[np.bool_]:
        """True where none of the dropped bits is set, in the shape of `classes`."""
        import numpy as np

        dropped = sum(1 << bit for bit in set(self.drop))
        if classes.dtype == np.uint16:
            free: NDArray[np.bool_] = (classes & np.uint16(dropped)) == 0
            return free
        # int64: a dropped bit may not exist in a uint8 band
        clear: NDArray[np.bool_] = (classes.astype(np.int64, copy=False) & dropped) == 0
        return clear

    def with_buffer(self, buffer: CloudBuffer) -> ClearBits:
        """Return this rule with margins round clouds and shadows."""
        return replace(self, clouds=self.clouds.with_buffer(buffer))

    def buffered(self, classes: Classes) -> Iterator[tuple[float, NDArray[np.bool_]]]:
        """Yield each margin in metres, and True where a pixel has it around itself."""
        for metres, members in self.clouds.margins:
            yield metres, ~ClearBits(tuple(members)).clear(classes)


ClearSky: TypeAlias = ClearClasses | ClearBits
