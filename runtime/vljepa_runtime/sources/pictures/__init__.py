"""Pictures as arrays: a decoded frame made upright RGB, picture files, folders of them."""
