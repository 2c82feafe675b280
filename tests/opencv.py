"""What OpenCV's functions give of a random image that lies in an OpenCL buffer: a sum of each. Run by programs.sh."""
import hashlib

import cv2
import numpy as np


def show(name, result):
    """Prints the result's shape and sum."""
    data = np.ascontiguousarray(result.get())
    print(name, data.shape, data.dtype, hashlib.sha256(data.tobytes()).hexdigest())


cv2.ocl.setUseOpenCL(True)
print("OpenCL", cv2.ocl.useOpenCL())
random = np.random.RandomState(1)
image = cv2.UMat(random.randint(0, 256, (240, 320, 3)).astype(np.uint8))
field = cv2.UMat(random.rand(256, 256).astype(np.float32))
gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
show("gray", gray)
show("blur", cv2.GaussianBlur(image, (7, 7), 1.5))
show("median", cv2.medianBlur(image, 5))
show("resize", cv2.resize(image, (200, 100)))
show("edges", cv2.Canny(gray, 50, 150))
show("dilate", cv2.dilate(image, np.ones((3, 3), np.uint8)))
show("warp", cv2.warpAffine(image, np.float32([[1, 0.1, 3], [-0.1, 1, 5]]), (320, 240)))
show("equal", cv2.equalizeHist(gray))
show("difference", cv2.absdiff(image, cv2.flip(image, 1)))
show("spectrum", cv2.dft(field))
show("product", cv2.gemm(field, field, 1.0, None, 0.0))
show("integral", cv2.integral(gray))
print("norm", cv2.norm(field), cv2.minMaxLoc(gray), cv2.countNonZero(gray))
