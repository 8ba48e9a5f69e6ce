"""OpenCV without Intel's IPP, which hands pixels to code that differs from CPU to CPU; import ``cv2`` from here.

OpenCV's own code gives the same pixels on every CPU with AVX2.
"""

import os

VARIABLE = "OPENCV_IPP"

_before = os.environ.get(VARIABLE)
os.environ[VARIABLE] = "disabled"
try:
    import cv2

    _level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # it warns that it obeys
    # It reads the variable when it is first asked, once for all threads.
    if cv2.ipp.useIPP():
        cv2.ipp.setUseIPP(False)  # somebody used it before; for this thread it can still be said
    cv2.utils.logging.setLogLevel(_level)
finally:
    if _before is None:
        del os.environ[VARIABLE]
    else:
        os.environ[VARIABLE] = _before

__all__ = ["cv2"]
