"""The list of packages: those below sparse3d/, and the two top-level folders that are shipped inside the package.

Everything else is in pyproject.toml, which has no way to say both "find" and "also these".
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["sparse3d", "sparse3d.*"]), "sparse3d.configs", "sparse3d.tools"],
    package_dir={"sparse3d.configs": "gin", "sparse3d.tools": "tools"},
    package_data={
        "sparse3d": ["py.typed"],
        "sparse3d.sparse.native": ["*.cpp", "*.h"],
        "sparse3d.configs": ["*.gin", "**/*.gin"],
    },
)
