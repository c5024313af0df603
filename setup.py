"""The list of packages: those below sparse3d/, and the three top-level folders that are shipped inside the package.

Everything else is in pyproject.toml, which has no way to say both "find" and "also these".
"""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["sparse3d", "sparse3d.*"]),
        "sparse3d.configs",
        "sparse3d.tools",
        "sparse3d.data_splits",
    ],
    package_dir={"sparse3d.configs": "gin", "sparse3d.tools": "tools", "sparse3d.data_splits": "data_splits"},
    package_data={
        "sparse3d": ["py.typed"],
        "sparse3d.sparse.native": ["*.cpp", "*.h"],
        "sparse3d.configs": ["*.gin", "**/*.gin"],
        "sparse3d.data_splits": ["**/*.txt"],
    },
)
