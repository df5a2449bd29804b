"""The one part of the package that is compiled: where there is no compiler, numpy does its work.

Everything else stands in pyproject.toml.
"""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "mirror_device._native",
            [f"mirror_device/native/{name}.c" for name in ("module", "network", "log_mel")],
            depends=[f"mirror_device/native/{name}.h" for name in ("network", "log_mel", "numeric")],
            # Without fused multiply-add every machine rounds alike, and gives the same scores bit for bit.
            extra_compile_args=["-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"],
            libraries=["m"],
            py_limited_api=True,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
