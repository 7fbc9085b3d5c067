"""The page: NiceGUI over FastAPI, the only place for either. What it shows and asks for comes by way of `link.Link`."""
