"""Holdfast keeps an authenticated, long-lived gateway connection alive."""

from ._paths import add_checkout_root

add_checkout_root(__path__)
del add_checkout_root
