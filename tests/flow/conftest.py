from tests.flow.world import make_world

__all__ = ["make_world"]
