"""The home page as a process: the service on loopback until it is interrupted."""

import argparse

from tasks.home.app import create_app
from tasks.pages.loopback import serve_on_loopback
from tasks.runtime.workspace import Workspace

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tasks.home.serve")
    parser.add_argument("--port", type=int, default=0)
    serve_on_loopback(create_app(Workspace.current()), parser.parse_args().port, print)
