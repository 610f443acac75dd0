"""Puts the compiled CPU kernels of `ACProp(fused=True)` into the wheel; where none is, the first fused step makes one.

They link with nothing and load into any Python and any torch, so the wheel is one for all Pythons of a platform.
"""

import runpy
import subprocess
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

KERNEL = runpy.run_path(str(Path(__file__).parent / "acprop" / "optim" / "kernel.py"))


class BuildWithKernels(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:  # whose kernel is that of the source as it is when it is used
            return
        for capability in KERNEL["CAPABILITIES"]:
            try:
                KERNEL["compile_kernel"](capability, Path(self.build_lib, "acprop", "optim"))
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"no kernel for {capability} in this wheel: {error}")


class DistributionOfPlatform(Distribution):
    def has_ext_modules(self) -> bool:
        return True


class WheelForAllPythons(bdist_wheel):
    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


setup(distclass=DistributionOfPlatform, cmdclass={"build_py": BuildWithKernels, "bdist_wheel": WheelForAllPythons})
