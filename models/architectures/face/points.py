"""Which dense landmarks make which part of a face.

The order is that of MediaPipe's canonical face mesh (468 points), then both irises (5 each, centre
first). "Left" is the viewer's left.
"""

from __future__ import annotations

# The outline of the face, from the top over the viewer's right.
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
SIDES = (234, 454)  # of the face, before the ears
INNER_UPPER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)  # left to right
INNER_LOWER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
INNER_LIPS = INNER_UPPER_LIP + INNER_LOWER_LIP[-2:0:-1]  # a closed contour
OUTER_UPPER_LIP = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
OUTER_LOWER_LIP = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
OUTER_LIPS = OUTER_UPPER_LIP + OUTER_LOWER_LIP[-2:0:-1]
LIPS = tuple(sorted({*INNER_LIPS, *OUTER_UPPER_LIP, *OUTER_LOWER_LIP}))
LEFT_UPPER_LID = (33, 246, 161, 160, 159, 158, 157, 173, 133)  # outer to inner corner
LEFT_LOWER_LID = (33, 7, 163, 144, 145, 153, 154, 155, 133)
RIGHT_UPPER_LID = (263, 466, 388, 387, 386, 385, 384, 398, 362)
RIGHT_LOWER_LID = (263, 249, 390, 373, 374, 380, 381, 382, 362)
LEFT_EYE = LEFT_UPPER_LID + LEFT_LOWER_LID[-2:0:-1]  # closed contours
RIGHT_EYE = RIGHT_UPPER_LID + RIGHT_LOWER_LID[-2:0:-1]
LEFT_IRIS, RIGHT_IRIS = (468, 469, 470, 471, 472), (473, 474, 475, 476, 477)
# Tops and bottoms of the irises, which lids cover: they lie in no face of the mesh.
COVERED = (470, 472, 475, 477)
# Closed contours, and what lies in them, over which lips and lids meet.
HOLLOWS = (INNER_LIPS, (*LEFT_EYE, *LEFT_IRIS), (*RIGHT_EYE, *RIGHT_IRIS))
# What no expression moves much: forehead, bridge of the nose, corners of the eyes, sides.
RIGID = (
    10, 338, 297, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 33, 133, 362, 263, 127, 356, 234, 454,
    93, 323, 2, 98, 327, 109, 67,
)  # fmt: skip
# Points that meet when lips and the lids of each eye close: (upper, lower).
OPENINGS = tuple(
    tuple(zip(upper[1:-1], lower[1:-1], strict=True))
    for upper, lower in (
        (INNER_UPPER_LIP, INNER_LOWER_LIP),
        (LEFT_UPPER_LID, LEFT_LOWER_LID),
        (RIGHT_UPPER_LID, RIGHT_LOWER_LID),
    )
)
