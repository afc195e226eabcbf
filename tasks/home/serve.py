"""The home page as a process until it is interrupted."""

from tasks.home.app import create_app
from tasks.pages.serving import serve_as_program

if __name__ == "__main__":
    serve_as_program(create_app, "tasks.home.serve")
