"""The caller's gin config, put aside while a checkpoint's own is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gin import config as gin_config

from sparse3d import config


@contextmanager
def config_put_aside() -> Iterator[None]:
    """Within it, a config may be loaded and used; afterwards the one from before holds again, what was called too.

    gin's config is one for the whole process, and loading a network must not change what a program has configured.
    """
    stores = (gin_config._CONFIG, gin_config._OPERATIVE_CONFIG, gin_config._SINGLETONS)
    saved = [{key: dict(v) if isinstance(v, dict) else v for key, v in store.items()} for store in stores]
    imports, bindings = set(gin_config._IMPORTS), list(config._bindings)
    locked = gin_config.config_is_locked()
    try:
        yield
    finally:
        for store, content in zip(stores, saved, strict=True):
            store.clear()
            store.update(content)
        gin_config._IMPORTS.clear()
        gin_config._IMPORTS.update(imports)
        config._bindings[:] = bindings
        gin_config._set_config_is_locked(locked)
