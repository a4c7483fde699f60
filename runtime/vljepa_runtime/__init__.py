"""Run a VL-JEPA bundle on a device: frames in; embeddings, labels, answers and events out. No torch.

    import vljepa_runtime as vj

    model = vj.load("tiny")
    with model.session(query="What is happening?") as session:
        for event in session.run(vj.open_source("clip.mp4")):
            print(event.to_json())

The names stand in `__init__.pyi`. Each is imported when it is first used, so that a command that needs few starts fast.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
