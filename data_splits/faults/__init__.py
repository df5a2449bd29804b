"""Faults put into a clean manifest on purpose: does every rule see its own, and nothing else?"""
