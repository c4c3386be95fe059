"""`explain`: what happens to a request, answered from the translator's state and with Envoy's own rules."""

from mgmt.explain.render import render
from mgmt.explain.request import BadRequest, parse_request
from mgmt.explain.route import Standing, UnknownGateway, explain_route, explain_url

__all__ = ["BadRequest", "Standing", "UnknownGateway", "explain_route", "explain_url", "parse_request", "render"]
