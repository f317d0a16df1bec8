"""Serving engines on the device, as plug-ins that the engines find through their entry points."""
