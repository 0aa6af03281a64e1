"""The live preview of the sliders: sessions on the server, requests, routes."""
