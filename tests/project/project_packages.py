"""The packages of the project, and the root folder of each."""

PACKAGES = {
    "vljepa_runtime": "runtime",
    "vljepa_data": "data",
    "vljepa_evaluation": "evaluation",
    "vljepa_model": "model",
    "vljepa_quant": "quant",
    "vljepa_export": "export",
    "vljepa_log": "apps",
    "vljepa_teach": "apps",
    "vljepa_serve": "apps",
    "vljepa_apps": "apps",
}
IMPORTED = {name: folder for name, folder in PACKAGES.items() if name != "vljepa_apps"}
"""Those that a user imports."""
